"""What can be made ready while the player still speaks: knowledge looked up, the prompt read.

Everything here can be computed again, so nothing is lost when a guess was wrong.
A guess that was right spares the reply most of its prompt: the model has read
it up to the words that are new.
"""

import asyncio
import logging

from npc.actions import Nomination
from npc.character import build_prompt
from npc.config import Settings
from npc.mind import Mind
from npc.stages import LanguageModel
from npc.state import SessionState
from npc.turn import ChatMessage, Passage

log = logging.getLogger(__name__)


class Anticipation:
    """Of one session. One thing at a time is read ahead; what cannot be read now is left out."""

    def __init__(self, mind: Mind, llm: LanguageModel, settings: Settings, state: SessionState) -> None:
        self._mind = mind
        self._llm = llm
        self._n_passages = settings.knowledge.n_passages
        self._state = state
        self._found: tuple[tuple[str, str], tuple[Passage, ...]] | None = None
        self._task: asyncio.Task[None] | None = None

    async def look_up(self, text: str) -> tuple[Passage, ...]:
        """What the character knows of `text`; at once where that was just asked. Raises StageError."""
        key = (text, self._state.exchanges[-1].player if self._state.exchanges else "")
        if self._found is None or self._found[0] != key:
            self._found = key, await self._mind.retriever.retrieve(text, self._n_passages, key[1])
        return self._found[1]

    async def nominate(self, text: str) -> Nomination | None:
        """The actions that `text` plainly asks for."""
        return await self._mind.nominator.nominate(text, self._state.scene)

    def prompt(self, text: str, passages: tuple[Passage, ...]) -> list[ChatMessage]:
        state = self._state
        return build_prompt(self._mind.character, state.scene, state.exchanges, passages, text, state.outcomes)

    def read_opening(self, tasks: asyncio.TaskGroup) -> None:
        """Have the model read what the next prompt begins with, whatever the player says."""
        self._start(tasks, None)

    def read(self, text: str, tasks: asyncio.TaskGroup) -> None:
        """Have the model read the prompt as it would be if the player had said just `text`."""
        self._start(tasks, text)

    def stop(self) -> None:
        """The real thing is due."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _start(self, tasks: asyncio.TaskGroup, text: str | None) -> None:
        if self._task is None or self._task.done():
            self._task = tasks.create_task(self._read(text))

    async def _read(self, text: str | None) -> None:
        try:
            if text is None:
                await self._llm.prefill(self._mind.opening(self._state))
            else:
                await self._llm.prefill(self.prompt(text, await self.look_up(text)))
        except Exception as error:  # nobody asked for it: the reply itself will fail, and say why
            log.warning("reading ahead failed: %s", error)
