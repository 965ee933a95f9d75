"""A server of scripted characters on a free port, and ways to reach it."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import websockets
from scripted_engine import ScriptedEngine
from websockets.asyncio.client import ClientConnection

from npc.config import Server
from npc.server import NpcServer


@dataclass
class Running:
    server: NpcServer
    engine: ScriptedEngine

    @property
    def url(self) -> str:
        return self.server.url

    def connect(self, **options: Any) -> websockets.connect:
        """A bare websocket; `options` are those of websockets.connect."""
        return websockets.connect(self.url, **{"subprotocols": ["npc.v1"], "proxy": None, "close_timeout": 1} | options)

    @asynccontextmanager
    async def talking(self, character: str = "mira", **fields: Any) -> AsyncIterator[ClientConnection]:
        """A bare websocket whose session is open and said so."""
        async with self.connect() as websocket:
            await websocket.send(json.dumps({"type": "session-start", "character": character, **fields}))
            assert json.loads(await websocket.recv())["type"] == "session-ready"
            yield websocket


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def start_server() -> Start:
    """`async with start_server(max_sessions=1) as running`: settings as keywords."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Running]:
        engine = ScriptedEngine()
        async with NpcServer(engine, Server(port=0, **settings)) as server:
            yield Running(server, engine)

    return start


@pytest.fixture
async def running(start_server: Start) -> AsyncIterator[Running]:
    async with start_server() as running:
        yield running


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port
