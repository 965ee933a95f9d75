"""One of several processes behind one address: a complete server, which is given its connections.

It ends when it is signalled to, and when the supervisor hangs up or dies.
"""

import asyncio
import logging
import pickle
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from npc.errors import NpcError
from npc.events import SessionStart
from npc.lost import LostTalks
from npc.server.app import NpcServer, until_signalled
from npc.server.connection import Engine
from npc.server.part import Part

from .channel import Channel, Failed, Introduction, News, Ready
from .passing import PassedConnections
from .post import Post
from .seats import WorkerSeats

log = logging.getLogger(__name__)

UNWINDING_S = 0.5
"""How long a talk may take to end after its connection: a client may be back, at another worker, before that."""
_LOOK_S = 0.01


class Character(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> str: ...


class LoadedEngine(Engine, Protocol):
    """What a worker needs of `npc.engine.Engine`."""

    @property
    def characters(self) -> Mapping[str, Character]: ...

    @property
    def lost(self) -> LostTalks: ...

    async def close(self) -> None: ...


async def serve_worker(post: Post, load: Callable[[], Awaitable[LoadedEngine]]) -> None:
    """Serve what is passed to `post` with the engine that `load` makes, until told to end."""
    channel = await Channel.open(post.channel)
    try:
        engine = await load()
    except NpcError as error:
        channel.tell(Failed(error))
        channel.close()
        return
    try:
        await _serve(post, channel, engine)
    finally:
        await engine.close()
        channel.close()


async def _serve(post: Post, channel: Channel, engine: LoadedEngine) -> None:
    tally, worker = post.tally, post.worker

    def count_over() -> None:
        tally.n_over[worker] += 1

    def are_all_ready() -> bool:
        return tally.are_all_ready

    part = Part(
        listening=PassedConnections(post.connections, count_over),
        seats=WorkerSeats(post.settings.max_sessions, tally, worker),
        are_all_ready=are_all_ready,
        bring=lambda start: bring(start, engine.lost, channel),
    )
    ending = [
        asyncio.create_task(channel.run(lambda start: give_up(start, engine.lost), _ignore)),
        asyncio.create_task(until_signalled(signal.SIGTERM)),
    ]
    async with NpcServer(engine, post.settings, part=part):
        tally.is_ready[worker] = 1
        channel.tell(Ready(tuple(Introduction(each.id, each.name, each.role) for each in engine.characters.values())))
        await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        tally.is_ready[worker] = 0
    for task in ending:
        task.cancel()


async def bring(start: SessionStart, lost: LostTalks, channel: Channel) -> None:
    """Have the talk that `start` takes up moved here, where another worker has it."""
    if start.resume and not lost.knows(start.resume):
        talk = await channel.ask(start)
        if talk is not None:
            lost.keep(pickle.loads(talk))  # from a process of the same program


async def give_up(start: SessionStart, lost: LostTalks) -> bytes | None:
    """The talk that `start` takes up, pickled, which is then no longer here; None where it cannot be had here.

    Its times stay true: processes of one machine share the latency clock.
    """
    deadline_s = asyncio.get_running_loop().time() + UNWINDING_S
    while (talk := lost.find(start)) is None:
        if not lost.knows(start.resume or "") or asyncio.get_running_loop().time() > deadline_s:
            return None
        await asyncio.sleep(_LOOK_S)
    lost.forget(talk)
    return pickle.dumps(talk)


def _ignore(news: News) -> None:
    """A supervisor has none."""
