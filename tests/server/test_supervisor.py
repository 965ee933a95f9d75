"""A supervisor of processes that do nothing but start, or fail to."""

import asyncio
import socket
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from short_lived_workers import be_ready_once, crash, load_for_ever, stand_still_once

from npc.config import Server
from npc.errors import ConfigError, ModelError, NpcError
from npc.server.workers import Supervisor, supervisor

PATIENCE_S = 60


async def test_a_worker_that_dies_before_it_is_ready_is_said_and_not_started_again() -> None:
    with pytest.raises(NpcError, match="worker 1 ended with exit code 3 before it was ready"):
        async with Supervisor(crash, Server(port=0), 1):
            pass


async def test_a_process_that_cannot_be_started_is_said() -> None:
    with pytest.raises(NpcError, match=r"worker 1 could not be started: .*pickle"):
        async with Supervisor(lambda post: None, Server(port=0), 1):
            pass


async def test_the_last_worker_that_cannot_be_started_again_ends_it_with_its_error(tmp_path: Path) -> None:
    async with Supervisor(partial(be_ready_once, tmp_path / "mark"), Server(port=0), 1) as server:
        with pytest.raises(ModelError, match="the weights are gone"):
            await server.until(asyncio.Event().wait())


async def test_a_worker_that_stands_still_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "LOOK_S", 0.05)
    monkeypatch.setattr(supervisor, "HUNG_S", 0.2)
    async with Supervisor(partial(stand_still_once, tmp_path / "mark"), Server(port=0), 1) as server:
        with pytest.raises(ModelError, match="the weights are gone"):
            await server.until(asyncio.Event().wait())
    assert "worker 1 has not answered for 0.2 s and is killed" in caplog.text
    assert "worker 1 was ended by SIGKILL" in caplog.text


def two_more_than(before: set[psutil.Process]) -> set[psutil.Process]:
    """The workers, as soon as there are both."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        new = {each for each in psutil.Process().children() if each not in before and is_worker(each)}
        if len(new) == 2:
            return new
        time.sleep(0.01)
    raise AssertionError("two workers were not started")


def is_worker(process: psutil.Process) -> bool:
    return process.is_running() and "spawn_main" in " ".join(process.cmdline())


async def test_ending_while_the_models_load_ends_the_workers() -> None:
    before = set(psutil.Process().children())
    entering = asyncio.create_task(Supervisor(load_for_ever, Server(port=0), 2).__aenter__())
    started = await asyncio.to_thread(two_more_than, before)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not any(each.is_running() for each in started)


async def test_a_port_that_is_taken_is_said_before_anything_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: it is taken"):
            async with Supervisor(crash, Server(port=port), 1):
                pass
        with pytest.raises(ConfigError, match="another metrics_port"):
            async with Supervisor(crash, Server(port=0, metrics_port=port), 1):
                pass
