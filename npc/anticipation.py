"""What can be made ready while the player still speaks: knowledge looked up, the prompt read.

Everything here can be computed again, so nothing is lost when a guess was wrong.
A guess that was right spares the reply most of its prompt: the model has read
it up to the words that are new.
"""

import asyncio
import logging

from npc.actions import Nomination
from npc.actions.agreement import prepare
from npc.character import build_prompt, history_messages, stable_messages
from npc.clock import Clock
from npc.config import Settings
from npc.mind import Mind
from npc.moment import Moment, grammar_of, names_around, take_in
from npc.stages import Stages
from npc.state import SessionState
from npc.turn import ChatMessage, Grammar, Passage, Samples
from npc.world import Scene, perceived

log = logging.getLogger(__name__)


class Anticipation:
    """Of one session. One thing at a time is read ahead; what cannot be read now is left out."""

    def __init__(self, mind: Mind, stages: Stages, settings: Settings, state: SessionState, clock: Clock) -> None:
        self._mind = mind
        self._llm = stages.llm
        self._thought = stages.thought
        self._n_passages = settings.knowledge.n_passages
        self._nominates = settings.llm.nominates
        self._state = state
        self._clock = clock
        self._found: tuple[tuple[str, str], tuple[Passage, ...]] | None = None
        self._noticed: tuple[tuple[Scene, frozenset[str]], Scene] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the player may well speak of: the character, and what it perceives."""
        return names_around(self._mind.character, self._notice())

    async def look_up(self, text: str) -> tuple[Passage, ...]:
        """What the character knows of `text`; at once where that was just asked. Raises StageError."""
        key = (text, self._state.exchanges[-1].player if self._state.exchanges else "")
        if self._found is None or self._found[0] != key:
            found = await self._mind.retriever.retrieve(text, self._n_passages, key[1])
            before = () if self._found is None else self._found[1]
            self._found = key, before if _are_as_good(before, found) else found
        return self._found[1]

    async def take_in(self, text: str, voice: Samples | None) -> Moment:
        """What the character perceives and feels at `text`; `voice`, [n] at 16 kHz, is None where it was typed."""
        now_s = self._clock.now_ms() / 1000
        return await self._thought.run(
            lambda: take_in(self._mind.character, self._state, self._notice(), text, voice, now_s)
        )

    async def nominate(self, moment: Moment) -> Nomination | None:
        """The actions that the player plainly asks for."""
        found = await self._mind.nominator.nominate(moment.text, moment.scene, moment.gauges, moment.recent)
        return found if self._nominates or found is None or found.hindrance else None

    async def grammar(self, moment: Moment, nomination: Nomination | None) -> Grammar:
        return await self._thought.run(lambda: grammar_of(self._mind.character, moment, nomination))

    async def prompt(self, moment: Moment, passages: tuple[Passage, ...]) -> list[ChatMessage]:
        """Of a reply that is due: what was read ahead so far is kept, and no more is."""
        messages = await self._prompt(moment, passages)
        self.stop()
        return messages

    def read_opening(self, tasks: asyncio.TaskGroup) -> None:
        """Have the model read what the next prompt begins with, whatever the player says."""
        self._found = None
        self._start(tasks, None)

    def read(self, text: str, tasks: asyncio.TaskGroup) -> None:
        """Have the model read the prompt as it would be if the player had said just `text`."""
        self._start(tasks, text)

    def stop(self) -> None:
        """The real thing is due."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _prompt(self, moment: Moment, passages: tuple[Passage, ...]) -> list[ChatMessage]:
        exchanges = tuple(self._state.exchanges)
        return await self._thought.run(
            lambda: build_prompt(
                self._mind.character, moment.scene, exchanges, passages, moment.text, moment.outcomes, moment.notes
            )
        )

    def _start(self, tasks: asyncio.TaskGroup, text: str | None) -> None:
        if self._task is None or self._task.done():
            self._task = tasks.create_task(self._read(text))

    async def _read(self, text: str | None) -> None:
        try:
            if text is None:
                await self._llm.prefill(await self._thought.run(self._opening))
            else:
                moment = await self.take_in(text, None)
                await self._llm.prefill(await self._prompt(moment, await self.look_up(text)))
        except Exception as error:  # nobody asked for it: the reply itself will fail, and say why
            log.warning("reading ahead failed: %s", error)

    def _opening(self) -> list[ChatMessage]:
        """What the next prompt begins with, whatever the player says."""
        character = self._mind.character
        prepare(character.actions)
        return [*stable_messages(character, self._notice()), *history_messages(tuple(self._state.exchanges))]

    def _notice(self) -> Scene:
        """The scene as the character perceives it; computed once for each that the game reports."""
        key = (self._state.scene, self._state.seen)
        if self._noticed is None or self._noticed[0][0] is not key[0] or self._noticed[0][1] is not key[1]:
            self._noticed = key, perceived(key[0], seen=key[1])
        return self._noticed[1]


def _are_as_good(before: tuple[Passage, ...], found: tuple[Passage, ...]) -> bool:
    """The best one is among those that the model has just read: reading others takes longer than they are worth."""
    return bool(before) and bool(found) and found[0].text in {passage.text for passage in before}
