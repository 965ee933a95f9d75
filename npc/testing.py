"""Scripted stages and virtual time: conversations with timings, played in an instant and always alike.

    @virtual_time
    async def test_a_cough_does_not_interrupt() -> None:
        speech = ScriptedSpeech()
        engine = scripted_engine(speech, replies=["Good day to you, traveller."])
        async with Conversation(engine, "mira") as talk:
            await talk.play(speech.say("Hello", 400), silence(600))
            await talk.play(speech.say("hm", 80), silence(2000))
            assert talk.the(ReplyEnded).reason == "done"

For the tests of this project and of programs that use it. On virtual time a
second passes as soon as everybody waits; when everybody waits for ever, the
test fails instead of hanging. Threads do not belong there.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy as np

from npc.actions import ActionSpec, Nomination
from npc.character import Character
from npc.config import Settings, TurnTaking
from npc.engine import Engine
from npc.errors import StageError
from npc.events import ClientEvent, FaceChoice, ServerEvent, SessionStart
from npc.frames import AudioFrame, to_pcm
from npc.mind import Mind
from npc.session import SessionClosed
from npc.stages import Stages
from npc.turn import (
    HEARING_RATE_HZ,
    ChatMessage,
    GenerationEnd,
    Grammar,
    Passage,
    Phoneme,
    Samples,
    Sampling,
    Speech,
    TextPiece,
    Transcript,
    Voice,
    Word,
)
from npc.virtual_time import VirtualClock as VirtualClock
from npc.virtual_time import virtual_time as virtual_time
from npc.world import Scene

E = TypeVar("E")

REPLY_RATE_HZ = 24_000
QUIET = 0.01
"""Louder than this is speech to the scripted ear."""
_FIRST_LOUDNESS, _LOUDNESS_STEP = 0.1, 0.005
_BLOCK = HEARING_RATE_HZ // 200  # 5 ms


# Stages


class ScriptedSpeech:
    """Audio that means something: each text has a loudness of its own, from which it is recognised again."""

    def __init__(self) -> None:
        self._said: list[tuple[str, int]] = []  # text, blocks that it takes

    def say(self, text: str, duration_ms: int) -> Samples:
        """[n] at 16 kHz."""
        loudness = _FIRST_LOUDNESS + _LOUDNESS_STEP * len(self._said)
        n_blocks = duration_ms // 5
        self._said.append((text, n_blocks))
        return np.full(n_blocks * _BLOCK, loudness, np.float32)

    def recognise(self, audio: Samples) -> str:
        """What was said in `audio`; of what is cut off, the words that are there."""
        levels = np.abs(audio[: len(audio) // _BLOCK * _BLOCK]).reshape(-1, _BLOCK).max(axis=1)
        indices = np.where(levels > QUIET, np.rint((levels - _FIRST_LOUDNESS) / _LOUDNESS_STEP), -1).astype(int)
        heard = []
        for index in sorted(set(indices[indices >= 0]), key=lambda index: int(np.argmax(indices == index))):
            text, n_blocks = self._said[index]
            words = text.split()
            share = min(1.0, float((indices == index).sum()) / n_blocks)
            heard += words[: round(len(words) * share)]
        return " ".join(heard)


def silence(duration_ms: int) -> Samples:
    """[n] at 16 kHz."""
    return np.zeros(duration_ms * HEARING_RATE_HZ // 1000, np.float32)


class ScriptedVoiceActivity:
    """What is loud is speech."""

    def open(self) -> "ScriptedVoiceActivity":
        return self

    async def push(self, frame: Samples) -> float:
        return 0.95 if float(np.abs(frame).mean()) > QUIET else 0.02

    def reset(self) -> None: ...


class ScriptedRecogniser:
    """Takes `delay_ms`; `fails` makes every final fail."""

    def __init__(self, speech: ScriptedSpeech, delay_ms: float = 50, *, fails: bool = False) -> None:
        self.n_finals = 0
        self._speech = speech
        self._delay_ms = delay_ms
        self._fails = fails

    async def transcribe(self, audio: Samples, *, is_final: bool, around: Sequence[str] = ()) -> Transcript:
        await asyncio.sleep(self._delay_ms / 1000)
        if is_final:
            self.n_finals += 1
            if self._fails:
                raise StageError("recognition", "it was told to fail")
        return Transcript(self._speech.recognise(audio), is_final, len(audio) * 1000 / HEARING_RATE_HZ)


class ScriptedLanguageModel:
    """Gives `replies` in order, the last one again and again, a word at a time. An exception is raised instead."""

    def __init__(self, replies: Sequence[str | Exception], prefill_ms: float = 100, word_ms: float = 20) -> None:
        self.prompts: list[list[ChatMessage]] = []
        self.grammars: list[Grammar | None] = []
        self.prefilled: list[list[ChatMessage]] = []
        self.n_running = 0
        """Replies that are being written now."""
        self._replies = list(replies)
        self._prefill_ms = prefill_ms
        self._word_ms = word_ms

    async def prefill(self, messages: Sequence[ChatMessage]) -> int:
        self.prefilled.append(list(messages))
        await asyncio.sleep(self._prefill_ms / 1000)
        return len(messages)

    async def generate(
        self, messages: Sequence[ChatMessage], sampling: Sampling, grammar: Grammar | None = None
    ) -> AsyncGenerator[TextPiece | GenerationEnd, None]:
        reply = self._replies[min(len(self.prompts), len(self._replies) - 1)]
        self.prompts.append(list(messages))
        self.grammars.append(grammar)
        self.n_running += 1
        try:
            await asyncio.sleep(self._prefill_ms / 1000)
            if isinstance(reply, Exception):
                raise reply
            words = reply.split(" ")
            for index, word in enumerate(words):
                await asyncio.sleep(self._word_ms / 1000)
                yield TextPiece(word if index == 0 else f" {word}", 1)
            yield GenerationEnd("stop", 100, 50, len(words), self._prefill_ms, self._word_ms * len(words))
        finally:
            self.n_running -= 1


class ScriptedSynthesiser:
    """Words of `word_ms` each, without a sound, so that nothing echoes; a clause takes `delay_ms` to make."""

    rate_hz = REPLY_RATE_HZ
    voices: Mapping[str, str] = {"plain": "a hum"}

    def __init__(self, word_ms: int = 200, delay_ms: float = 30) -> None:
        self.spoken: list[str] = []
        self._word_samples = word_ms * REPLY_RATE_HZ // 1000
        self._delay_ms = delay_ms

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[Speech, None]:
        await asyncio.sleep(self._delay_ms / 1000)
        self.spoken.append(text)
        n = self._word_samples
        words = tuple(Word(word, index * n, (index + 1) * n) for index, word in enumerate(text.split()))
        phonemes = tuple(_spelled(words))
        yield Speech(text, np.zeros(n * len(words), np.float32), REPLY_RATE_HZ, words, phonemes)


def _spelled(words: Sequence[Word]) -> Iterator[Phoneme]:
    """A sound for each letter, all of a length."""
    for word in words:
        letters = [letter for letter in word.text.lower() if letter.isalpha()]
        length = word.end_sample - word.start_sample
        for n, letter in enumerate(letters):
            start, end = (word.start_sample + length * edge // len(letters) for edge in (n, n + 1))
            yield Phoneme(letter, start, end)


class ScriptedMemory:
    """Retriever and nominator in one: knows `passages`, and nominates nothing unless told."""

    def __init__(self, passages: Sequence[Passage] = (), nomination: Nomination | None = None) -> None:
        self.queries: list[tuple[str, str]] = []
        self._passages = tuple(passages)
        self._nomination = nomination

    async def retrieve(self, query: str, n: int, context: str = "") -> tuple[Passage, ...]:
        self.queries.append((query, context))
        return self._passages[:n]

    async def nominate(
        self, utterance: str, scene: Scene, gauges: Mapping[str, float], recent: Sequence[str]
    ) -> Nomination | None:
        return self._nomination


def scripted_character(
    character_id: str = "mira", actions: Sequence[ActionSpec] = (), scene: Scene | None = None, **more: Any
) -> Character:
    """`more`: further fields of a character, of their own types."""
    return Character(
        id=character_id,
        folder=Path(character_id),
        name=character_id.title(),
        role="a character of a script",
        persona="You are made for a test.",
        voice=Voice("plain"),
        actions=tuple(actions),
        scene=scene or Scene(),
        **more,
    )


def with_endpoint(endpoint_ms: int) -> Settings:
    """Every turn ends after so much silence, whatever was said."""
    return Settings.model_validate({"turn_taking": {"endpoint_ms": endpoint_ms, "judges_pauses": False}})


def scripted_engine(
    speech: ScriptedSpeech,
    replies: Sequence[str | Exception] = ("Good day to you.",),
    *,
    characters: Sequence[Character] = (),
    settings: Settings | None = None,
    memory: ScriptedMemory | None = None,
    recogniser: ScriptedRecogniser | None = None,
    llm: ScriptedLanguageModel | None = None,
    synthesiser: ScriptedSynthesiser | None = None,
) -> Engine:
    """An engine of scripted stages, on the clock of the event loop.

    Unless `settings` say otherwise, a turn ends after a fixed silence, whatever was said.
    """
    settings = settings or Settings(turn_taking=TurnTaking(judges_pauses=False))
    memory = memory or ScriptedMemory()
    stages = Stages(
        ScriptedVoiceActivity(),
        recogniser or ScriptedRecogniser(speech),
        llm or ScriptedLanguageModel(replies),
        synthesiser or ScriptedSynthesiser(),
    )
    minds = {each.id: Mind(each, memory, memory) for each in characters or (scripted_character(),)}
    return Engine(minds, stages, settings, VirtualClock())


# Conversations


class Conversation:
    """A session with somebody at the other end, who plays audio in real time and notes when what came back."""

    def __init__(
        self,
        engine: Engine,
        character: str,
        *,
        reply: Literal["speech", "text"] = "speech",
        scene: Scene | None = None,
        face: FaceChoice = "none",
        resume: str | None = None,
        reads: bool = True,
    ) -> None:
        start = SessionStart(character=character, reply=reply, scene=scene, face=face, resume=resume)
        self.session = engine.open(start)
        self.came: list[tuple[float, ServerEvent | AudioFrame]] = []
        """Everything that was said, with the time in milliseconds."""
        self.last_played_ms = 0.0
        self._clock = VirtualClock()
        self._reads = reads
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks.append(asyncio.create_task(self.session.run()))
        if self._reads:
            self._tasks.append(asyncio.create_task(self._read()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()
        await asyncio.gather(*self._tasks)

    async def play(self, *parts: Samples, frame_ms: int = 20) -> None:
        """Speak into the microphone, as time passes."""
        audio = np.concatenate(parts)
        step = frame_ms * HEARING_RATE_HZ // 1000
        for offset in range(0, len(audio), step):
            frame = audio[offset : offset + step]
            await asyncio.sleep(len(frame) / HEARING_RATE_HZ)
            self.session.hear(to_pcm(frame))
            if np.abs(frame).max() > QUIET:
                self.last_played_ms = self._clock.now_ms()

    def tell(self, event: ClientEvent) -> None:
        self.session.handle(event)

    async def until(self, kind: type[E], n: int = 1) -> E:
        """Wait for the `n`th event of a kind."""
        while len(self.all(kind)) < n:
            self._news.clear()
            await self._news.wait()
        return self.all(kind)[n - 1]

    def all(self, kind: type[E]) -> list[E]:
        return [event for _, event in self.came if isinstance(event, kind)]

    def the(self, kind: type[E]) -> E:
        """The only event of a kind."""
        [event] = self.all(kind)
        return event

    def when(self, kind: type[Any], n: int = 1) -> float:
        """When the `n`th event of a kind came, in milliseconds."""
        return [at_ms for at_ms, event in self.came if isinstance(event, kind)][n - 1]

    def heard_samples(self, turn: int) -> int:
        """Samples of reply audio that were sent for `turn`."""
        return sum(len(frame.pcm) // 2 for frame in self.all(AudioFrame) if frame.turn == turn)

    async def _read(self) -> None:
        while True:
            try:
                event = await self.session.next()
            except SessionClosed:
                return
            self.came.append((self._clock.now_ms(), event))
            self._news.set()
