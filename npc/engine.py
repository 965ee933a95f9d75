"""The composition root: loads every model once, and opens sessions that share them.

    engine = await Engine.load(load_settings())
    session = engine.open(SessionStart(character="smith"))

Loading is mostly the import of large libraries, so the models load side by
side, each on a thread. Nothing here knows of sockets: `npc.server` does.
"""

import asyncio
import gc
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager

from npc.actions import Nominator
from npc.character import Character, load_characters
from npc.clock import Clock, MonotonicClock
from npc.config import Settings
from npc.errors import InputError
from npc.events import SessionStart
from npc.knowledge import Embedder, KnowledgeIndex, VectorStore, read_passages
from npc.lost import LostTalks
from npc.mind import Mind
from npc.models import ModelStore, Progress, quiet
from npc.session import Session
from npc.sheet import did_you_mean
from npc.stages import (
    EndOfTurn,
    Inline,
    LanguageModel,
    Recogniser,
    Stages,
    Synthesiser,
    Thought,
    VoiceActivity,
)
from npc.tts import load_synthesiser
from npc.worker import Worker

VOICE_ACTIVITY_MODEL = "silero-vad"
END_OF_TURN_MODEL = "smart-turn-v3"


class Engine:
    """`resources` are closed with it."""

    def __init__(
        self,
        minds: Mapping[str, Mind],
        stages: Stages,
        settings: Settings,
        clock: Clock | None = None,
        resources: AsyncExitStack | None = None,
    ) -> None:
        self.settings = settings
        self._minds = minds
        self._stages = stages
        self._clock = clock or MonotonicClock()
        self._resources = resources or AsyncExitStack()
        self.lost = LostTalks(self._clock)
        """What sessions may take up again."""

    @classmethod
    async def load(cls, settings: Settings, progress: Progress = quiet) -> "Engine":
        """Fetch what is missing, load everything, and read the characters.

        Raises CharacterError with every mistake that writers made, ConfigError and ModelError.
        """
        characters = load_characters([settings.characters_dir] if settings.characters_dir else [])
        models = ModelStore(models_dir=settings.models_dir, progress=progress)
        async with AsyncExitStack() as resources:
            with _without_gc():
                voice_activity, recogniser, llm, synthesiser, end_of_turn, minds = await asyncio.gather(
                    _voice_activity(models, settings, resources),
                    _recogniser(models, settings, resources),
                    _language_model(models, settings, resources),
                    _synthesiser(settings, resources),
                    _end_of_turn(models, settings, resources),
                    _minds(characters.values(), models, settings, resources),
                )
            thought = Worker("thought")
            resources.callback(thought.close)
            cleaning = _cleaning(settings, resources)
            stages = Stages(voice_activity, recogniser, llm, synthesiser, end_of_turn, thought, cleaning=cleaning)
            return cls(minds, stages, settings, resources=resources.pop_all())

    @property
    def characters(self) -> Mapping[str, Character]:
        return {character_id: mind.character for character_id, mind in self._minds.items()}

    def open(self, start: SessionStart) -> Session:
        """A conversation with `start.character`; the caller runs it. Raises InputError (`unknown-character`)."""
        mind = self._minds.get(start.character)
        if mind is None:
            hint = did_you_mean(start.character, self._minds)
            raise InputError(f"there is no character '{start.character}'{hint}", "unknown-character")
        session = Session(start, mind, self._stages, self.settings, self._clock, self.lost.find(start))
        self.lost.keep(session.talk)
        return session

    def under(self, settings: Settings) -> "Engine":
        """The same models and characters under other settings of turn-taking; close this one, after that one's end."""
        return Engine(self._minds, self._stages, settings, self._clock)

    async def close(self) -> None:
        """End the models' threads and connections. Sessions must have ended."""
        await self._resources.aclose()


async def _voice_activity(models: ModelStore, settings: Settings, resources: AsyncExitStack) -> VoiceActivity:
    def load() -> VoiceActivity:
        from npc.turntaking.vad import SileroVoiceActivity

        n_workers = settings.recognition.voice_activity_workers
        voice_activity = SileroVoiceActivity.load(models.ensure(VOICE_ACTIVITY_MODEL), n_workers=n_workers)
        resources.callback(voice_activity.close)
        return voice_activity

    return await asyncio.to_thread(load)


def _cleaning(settings: Settings, resources: AsyncExitStack) -> Thought:
    """A frame takes 0.8 ms while a reply plays: nothing to a few players, a quarter of the event loop's time to 32."""
    if settings.recognition.voice_activity_workers == 1:
        return Inline()
    worker = Worker("cleaning", settings.recognition.voice_activity_workers)
    resources.callback(worker.close)
    return worker


async def _recogniser(models: ModelStore, settings: Settings, resources: AsyncExitStack) -> Recogniser:
    def load() -> Recogniser:
        from npc.asr.whisper import WhisperRecogniser

        recogniser = WhisperRecogniser.load(models.ensure(settings.recognition.model), settings.recognition)
        resources.callback(recogniser.close)
        return recogniser

    return await asyncio.to_thread(load)


async def _language_model(models: ModelStore, settings: Settings, resources: AsyncExitStack) -> LanguageModel:
    if settings.llm.backend == "openai":
        from npc.llm.openai import OpenAILanguageModel

        remote = OpenAILanguageModel(settings.llm)
        resources.push_async_callback(remote.close)
        return remote

    def load() -> LanguageModel:
        from npc.llm.embedded import EmbeddedLanguageModel

        name = settings.llm.model
        draft = models.ensure(settings.llm.draft_model) if settings.llm.draft_model else None
        llm = EmbeddedLanguageModel.load(models.ensure(name), models.derived(name, "llm"), settings.llm, draft)
        resources.callback(llm.close)
        return llm

    return await asyncio.to_thread(load)


async def _synthesiser(settings: Settings, resources: AsyncExitStack) -> Synthesiser:
    synthesiser = await asyncio.to_thread(load_synthesiser, settings.speaking)
    resources.callback(synthesiser.close)
    return synthesiser


async def _end_of_turn(models: ModelStore, settings: Settings, resources: AsyncExitStack) -> EndOfTurn | None:
    if not settings.turn_taking.smart_turn:
        return None

    def load() -> EndOfTurn:
        from npc.turntaking.smart_turn import SmartTurn

        # asked once a pause, beside recognition
        smart_turn = SmartTurn.load(models.ensure(END_OF_TURN_MODEL), n_workers=settings.recognition.n_workers)
        resources.callback(smart_turn.close)
        return smart_turn

    return await asyncio.to_thread(load)


async def _minds(
    characters: Collection[Character], models: ModelStore, settings: Settings, resources: AsyncExitStack
) -> dict[str, Mind]:
    def load() -> tuple[Embedder, VectorStore]:
        embedder = Embedder.load(models.ensure(settings.knowledge.model), n_workers=settings.knowledge.n_workers)
        resources.callback(embedder.close)
        return embedder, VectorStore(models.derived(settings.knowledge.model, "passages"), embedder)

    embedder, store = await asyncio.to_thread(load)
    actions = {action.name: action for character in characters for action in character.actions}
    nominator = await Nominator.build(tuple(actions.values()), embedder, store)
    minds = {}
    for character in characters:
        passages = read_passages(character.knowledge, character.folder)
        index = await KnowledgeIndex.build(passages, embedder, store, settings.knowledge)
        minds[character.id] = Mind(character, index, nominator.of(character.actions))
    return minds


@contextmanager
def _without_gc() -> Iterator[None]:
    """Imports make objects that stay: collecting among them takes a second, and again a pause every now and then."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
