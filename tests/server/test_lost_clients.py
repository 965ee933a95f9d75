"""Clients that vanish, freeze or never read: their session ends, and nobody else notices."""

import asyncio
import json
import logging
import socket
import struct
from contextlib import asynccontextmanager

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from npc.client import connect

START = json.dumps({"type": "session-start", "character": "mira"})
SAY_LONG = json.dumps({"type": "text", "text": "long"})


async def ended(session):
    await asyncio.wait_for(session.has_ended.wait(), 10)
    assert not session.is_running


async def another_player_is_answered(running):
    async with connect(running.url, character="ada") as npc:
        await npc.say("hello")
        assert (await asyncio.wait_for(npc.reply(), 10)).ending == "done"


class LogWatch(logging.Handler):
    """Lets a test wait for something to be logged."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.put_nowait(record.getMessage())

    async def wait_for(self, text: str) -> None:
        while text not in await self._messages.get():
            pass


@pytest.fixture
async def refusals(caplog):
    caplog.set_level(logging.INFO, "npc.server")
    watch = LogWatch()
    logging.getLogger("npc.server").addHandler(watch)
    yield watch
    logging.getLogger("npc.server").removeHandler(watch)


@asynccontextmanager
async def frozen(running, *messages):
    """A client that opens a websocket, sends `messages` and from then on neither reads nor answers pings."""
    protocol = ClientProtocol(parse_uri(running.url), subprotocols=["npc.v1"])
    reader, writer = await asyncio.open_connection("127.0.0.1", running.server.port, limit=1024)
    protocol.send_request(protocol.connect())
    writer.write(b"".join(protocol.data_to_send()))
    protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
    for message in messages:
        protocol.send_text(message.encode())
    writer.write(b"".join(protocol.data_to_send()))
    try:
        yield
    finally:
        writer.transport.abort()


async def test_a_client_that_resets_the_connection_in_mid_reply_ends_its_session_only(running):
    async with running.talking() as websocket:
        await websocket.send(SAY_LONG)
        for _ in range(5):
            await websocket.recv()
        raw = websocket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close sends a reset
        websocket.transport.abort()
        await ended(running.engine.sessions[0])
    await another_player_is_answered(running)


async def test_a_client_that_leaves_in_mid_reply_ends_its_session_only(running):
    async with running.talking() as websocket:
        await websocket.send(SAY_LONG)
        await websocket.recv()
    await ended(running.engine.sessions[0])
    await another_player_is_answered(running)


async def test_a_client_that_never_reads_is_let_go_and_the_others_are_served_meanwhile(start_server, refusals):
    async with start_server(send_timeout_s=0.3) as running, frozen(running, START, SAY_LONG):
        await running.engine.has_session.wait()
        await another_player_is_answered(running)
        await ended(running.engine.sessions[0])
        await asyncio.wait_for(refusals.wait_for("refused: slow-client"), 10)
        assert running.server.n_sessions == 0
        await another_player_is_answered(running)


async def test_a_client_that_is_there_no_more_is_noticed_by_its_missing_pongs(start_server):
    async with start_server(keepalive_s=0.2) as running, frozen(running, START):
        await running.engine.has_session.wait()
        await ended(running.engine.sessions[0])


async def test_a_connection_that_never_finishes_its_handshake_is_dropped(start_server):
    async with start_server(start_timeout_s=0.1) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"POST / HTTP/1.1\r\n\r\n", b"\x00" * 20_000])
async def test_something_that_is_no_websocket_is_turned_away(start_server, data):
    async with start_server(start_timeout_s=0.5) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.server.port)
        writer.write(data)
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await another_player_is_answered(running)
