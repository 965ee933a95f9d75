"""What a supervisor and one of its workers tell each other, through a pair of sockets that nobody else can reach.

worker ── Ready | Failed ──→ supervisor
       ←─ who has this talk? ─→          either asks, the other answers
       ←─── are you there? ────
"""

import asyncio
import itertools
import pickle
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from npc.errors import NpcError
from npc.events import SessionStart

PATIENCE_S = 2.0
"""How long an answer is waited for: a player waits, too."""


@dataclass(frozen=True, slots=True)
class Introduction:
    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Ready:
    """It takes sessions with these characters."""

    characters: tuple[Introduction, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot start."""

    error: NpcError


@dataclass(frozen=True, slots=True)
class _Question:
    number: int
    start: SessionStart | None
    """None asks for nothing but an answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    number: int
    talk: bytes | None


News = Ready | Failed
Finding = Callable[[SessionStart], Awaitable[bytes | None]]
"""Gives up the lost talk that a session wants to take up, pickled; None where there is none."""


class Channel:
    """One end. What is pickled comes from a process of the same program, so that it may be read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[bytes | None]] = {}

    @classmethod
    async def open(cls, end: socket.socket) -> "Channel":
        return cls(*await asyncio.open_unix_connection(sock=end))

    async def run(self, find: Finding, notice: Callable[[News], None]) -> None:
        """Answer questions and hand over news, until the other end is closed or its process has ended."""
        answering: set[asyncio.Task[None]] = set()
        try:
            while (message := await self._receive()) is not None:
                match message:
                    case _Question():
                        task = asyncio.create_task(self._answer(message, find))
                        answering.add(task)
                        task.add_done_callback(answering.discard)
                    case _Answer(number=number, talk=talk):
                        if (asked := self._asked.get(number)) is not None and not asked.done():
                            asked.set_result(talk)
                    case _:
                        notice(message)
        finally:
            self.close()
            for task in answering:
                task.cancel()
            for asked in self._asked.values():
                asked.cancel()

    async def ask(self, start: SessionStart) -> bytes | None:
        """What the other end finds; None where it has nothing, or does not answer in time."""
        asked = await self._ask(start, PATIENCE_S)
        return asked.result() if asked.done() and not asked.cancelled() else None

    async def is_answered(self, patience_s: float) -> bool:
        """Whether the other end's event loop runs, or has gone: False where it is there and silent for so long."""
        return (await self._ask(None, patience_s)).done()

    async def _ask(self, start: SessionStart | None, patience_s: float) -> asyncio.Future[bytes | None]:
        """Done when it was answered, cancelled when the other end has gone."""
        number = next(self._numbers)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            if self._writer.is_closing():
                asked.cancel()
            else:
                self.tell(_Question(number, start))
                await asyncio.wait({asked}, timeout=patience_s)
            return asked
        finally:
            del self._asked[number]

    def tell(self, message: News | _Question | _Answer) -> None:
        """What is told to somebody who has gone is lost."""
        data = pickle.dumps(message)
        self._writer.write(len(data).to_bytes(4, "little") + data)

    def close(self) -> None:
        """What was told before still leaves."""
        self._writer.close()

    async def _answer(self, question: _Question, find: Finding) -> None:
        self.tell(_Answer(question.number, None if question.start is None else await find(question.start)))

    async def _receive(self) -> News | _Question | _Answer | None:
        try:
            n_bytes = int.from_bytes(await self._reader.readexactly(4), "little")
            message: News | _Question | _Answer = pickle.loads(await self._reader.readexactly(n_bytes))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return message
