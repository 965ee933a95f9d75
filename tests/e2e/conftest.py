"""One engine of real models for all end-to-end tests, behind a real server on a free port."""

from collections.abc import AsyncIterator

import pytest_asyncio

from npc.config import Settings
from npc.engine import Engine
from npc.server import NpcServer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine() -> AsyncIterator[Engine]:
    # What is plainly asked for must be done here: whether the model would by itself is for `npc eval` to say.
    loaded = await Engine.load(Settings.model_validate({"llm": {"nominates": True}}))
    yield loaded
    await loaded.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def url(engine: Engine) -> AsyncIterator[str]:
    async with NpcServer(engine, engine.settings.server.model_copy(update={"port": 0})) as server:
        yield server.url
