"""Connections that come through a pipe, what processes ask each other, and talks that move, all in one process."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import websockets
from scripted_engine import ScriptedEngine

from npc.config import Server
from npc.errors import ConfigError, ModelError
from npc.events import SessionStart
from npc.feeling import Feeling, Heart
from npc.lost import LostTalks, Talk
from npc.server import NpcServer
from npc.server.limits import Seats
from npc.server.part import Part
from npc.server.workers.channel import Channel, Failed, Introduction, Ready
from npc.server.workers.passing import PassedConnections, check_passing, pass_on
from npc.server.workers.worker import bring, give_up
from npc.state import SessionState
from npc.world import Scene


class Clock:
    ms = 0.0

    def now_ms(self) -> float:
        return self.ms


def talk(talk_id: str, ended_ms: float | None = 0.0) -> Talk:
    return Talk(talk_id, "mira", "player", SessionState(Scene(), Heart(Feeling())), ended_ms)


START = SessionStart(character="mira", resume="a")


@asynccontextmanager
async def channels() -> AsyncIterator[tuple[Channel, Channel]]:
    ends = socket.socketpair()
    first, second = [await Channel.open(end) for end in ends]
    yield first, second
    first.close()
    second.close()


async def nothing(start: SessionStart) -> None:
    return None


async def test_a_server_serves_what_is_passed_to_it_and_counts_what_is_over() -> None:
    over: list[bool] = []
    brought: list[str | None] = []
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)

    async def note(start: SessionStart) -> None:
        brought.append(start.resume)

    is_ready = True
    part = Part(PassedConnections(theirs, lambda: over.append(True)), Seats(1), lambda: is_ready, note)
    loop = asyncio.get_running_loop()
    with ours, socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        port = listening.getsockname()[1]

        async def accept() -> None:
            connection, _ = await loop.sock_accept(listening)
            with connection:
                pass_on(connection, ours)

        async def health() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: npc\r\n\r\n")
            await accept()
            answer = await reader.read()
            writer.close()
            return answer

        async with NpcServer(ScriptedEngine(), Server(), part=part):
            connecting = asyncio.ensure_future(
                websockets.connect(f"ws://127.0.0.1:{port}", subprotocols=["npc.v1"], proxy=None).__aenter__()
            )
            await accept()
            websocket = await connecting
            await websocket.send(json.dumps({"type": "session-start", "character": "mira", "resume": "a"}))
            assert json.loads(await websocket.recv())["type"] == "session-ready"
            assert brought == ["a"]
            assert over == []
            await websocket.close()
            assert over == [True]
            assert (await health()).startswith(b"HTTP/1.1 200")
            is_ready = False
            assert (await health()).startswith(b"HTTP/1.1 503")
    assert len(over) == 3


def test_a_pipe_without_connections_gives_none_and_neither_does_one_whose_other_end_is_gone() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with PassedConnections(theirs, lambda: None) as listening:
        with pytest.raises(BlockingIOError):
            listening.accept()
        ours.close()
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_a_system_that_passes_no_connections_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "send_fds")
    with pytest.raises(ConfigError, match=r"server.workers is 4.*set it to 1"):
        check_passing(4)


async def test_either_end_may_ask_and_news_arrives() -> None:
    news: list[Ready | Failed] = []

    async def find(start: SessionStart) -> bytes | None:
        return start.resume.encode() if start.resume else None

    async with channels() as (first, second), asyncio.TaskGroup() as tasks:
        tasks.create_task(first.run(find, news.append))
        tasks.create_task(second.run(find, news.append))
        answers = await asyncio.gather(
            first.ask(START),
            second.ask(START.model_copy(update={"resume": "b"})),
            first.ask(SessionStart(character="x")),
        )
        assert answers == [b"a", b"b", None]
        second.tell(Ready((Introduction("mira", "Mira", "a miller"),)))
        second.tell(Failed(ModelError("the weights are gone")))
        assert await first.ask(START) == b"a"  # comes behind them
        assert [type(each) for each in news] == [Ready, Failed]
        second.close()
    assert await first.ask(START) is None


async def test_a_question_to_who_is_gone_before_it_answers_finds_nothing() -> None:
    has_been_asked = asyncio.Event()

    async def find(start: SessionStart) -> bytes | None:
        has_been_asked.set()
        await asyncio.Event().wait()
        return None

    async with channels() as (first, second), asyncio.TaskGroup() as tasks:
        tasks.create_task(first.run(nothing, print))
        tasks.create_task(second.run(find, print))
        asking = tasks.create_task(first.ask(START))
        await has_been_asked.wait()
        second.close()
        assert await asking is None


async def test_a_talk_moves_and_is_then_no_longer_where_it_was() -> None:
    here, there = LostTalks(Clock()), LostTalks(Clock())
    there.keep(talk("a"))
    async with channels() as (first, second), asyncio.TaskGroup() as tasks:
        tasks.create_task(first.run(nothing, print))
        tasks.create_task(second.run(lambda start: give_up(start, there), print))
        await bring(START, here, first)
        first.close()
    assert here.find(START) == talk("a")
    assert not there.knows("a")


async def test_a_talk_that_is_about_to_end_is_waited_for() -> None:
    lost = LostTalks(Clock())
    ending = talk("a", ended_ms=None)
    lost.keep(ending)
    giving = asyncio.create_task(give_up(START, lost))
    await asyncio.sleep(0)
    ending.ended_ms = 0.0
    assert await giving is not None


@pytest.mark.parametrize(
    "start", [START.model_copy(update={"player": "another"}), START.model_copy(update={"resume": "b"})]
)
async def test_a_talk_that_is_not_theirs_is_not_given_up(start: SessionStart) -> None:
    lost = LostTalks(Clock())
    lost.keep(talk("a"))
    assert await give_up(start, lost) is None
    assert lost.knows("a")
