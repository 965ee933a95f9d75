"""`npc serve --workers 2`, with real processes: who is served by whom, and what becomes of everybody when one dies."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from npc.client import ConnectionLost, NpcConnection, connect

SCRIPT = Path(__file__).parents[1] / "scripted_workers.py"
PATIENCE_S = 60


@dataclass
class Served:
    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    """What it has logged."""
    url: str = ""

    async def until_logged(self, *words: str) -> None:
        """That one line has all of `words`, from now on."""
        stderr = self.process.stderr
        assert stderr is not None
        while line := (await stderr.readline()).decode():
            self.lines.append(line)
            if all(word in line for word in words):
                return
        raise AssertionError(f"it ended without a line with {words}:\n{''.join(self.lines)}")

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    async def until_all_have_left(self) -> None:
        """Clients know that they are disconnected a little before the server does."""
        workers = self.workers()

        def wait() -> None:
            deadline_s = time.monotonic() + PATIENCE_S
            while any(worker.net_connections("tcp") for worker in workers):
                assert time.monotonic() < deadline_s, "a connection is open still"
                time.sleep(0.01)

        await asyncio.to_thread(wait)

    async def end(self) -> str:
        """Once it is ending: all that it has logged. Its workers hold its stderr, too, so that they have ended then."""
        _, shown = await self.process.communicate()
        self.lines.append(shown.decode())
        return "".join(self.lines)

    async def health(self) -> tuple[int, dict[str, Any]]:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(self.url.replace("ws://", "http://") + "/healthz")
        return answer.status_code, answer.json()


@asynccontextmanager
async def serving(*args: str, **environment: str) -> AsyncIterator[Served]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), "--port", "0", "--workers", "2", "--json", *args),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    served = Served(process)
    try:
        yield served
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ready(served: Served) -> Served:
    assert served.process.stdout is not None
    served.url = json.loads(await served.process.stdout.readline())["url"]
    return served


async def answered(npc: NpcConnection) -> None:
    await npc.say("hello")
    assert (await npc.reply(wait_until="received")).text == "Good day to you."


async def cut_off(npc: NpcConnection) -> str:
    """Reads until the connection is lost; why it was."""
    try:
        async for _ in npc:
            pass
    except ConnectionLost as lost:
        return str(lost)
    raise AssertionError("the session ended as if it had been asked to")


async def test_players_are_shared_out_resume_anywhere_and_survive_the_death_of_a_worker(free_port: int) -> None:
    async with asyncio.timeout(120), serving("--metrics-port", str(free_port)) as served:
        await ready(served)
        async with connect(served.url, character="mira") as first, connect(served.url, character="mira") as second:
            sessions = first.ready.session, second.ready.session
            await served.until_logged("worker 1", sessions[0], "opened")
            await served.until_logged("worker 2", sessions[1], "opened")
            await answered(first)
            await answered(second)

        await served.until_all_have_left()
        # who comes first now gets the other worker than before
        second = connect(served.url, character="mira", resume=sessions[1])
        first = connect(served.url, character="mira", resume=sessions[0])
        async with second as second, first as first:
            await served.until_logged("worker 1", sessions[1], "opened")
            await served.until_logged("worker 2", sessions[0], "opened")
            assert first.ready.resumed
            assert second.ready.resumed
            await answered(first)

            served.workers()[0].kill()
            readings = {asyncio.create_task(cut_off(npc)): npc for npc in (first, second)}
            [cut], [going_on] = await asyncio.wait(readings, return_when=asyncio.FIRST_COMPLETED)
            assert "shutting down" not in cut.result()
            going_on.cancel()
            await asyncio.wait([going_on])
            await answered(readings[going_on])
            await served.until_logged("was ended by SIGKILL", "started again")
            async with connect(served.url, character="mira") as third:
                await answered(third)
                await answered(readings[going_on])
                await served.until_logged("is ready")
                status, told = await served.health()
                assert (status, told["ready"], told["sessions"], told["max_sessions"]) == (200, True, 2, 64)
                async with httpx.AsyncClient(trust_env=False) as http:
                    metrics = (await http.get(f"http://127.0.0.1:{free_port}/metrics")).text.splitlines()
                assert "npc_sessions 2.0" in metrics
                assert "npc_sessions_opened_total 5.0" in metrics

                served.process.send_signal(signal.SIGTERM)
                reasons = await asyncio.gather(cut_off(third), cut_off(readings[going_on]))
                assert all("shutting down" in reason for reason in reasons)
        shown = await served.end()
    assert served.process.returncode == 0
    assert "Traceback" not in shown


async def test_a_worker_that_cannot_be_started_again_leaves_the_others_which_end_with_the_supervisor(
    tmp_path: Path,
) -> None:
    gone = tmp_path / "gone"
    async with asyncio.timeout(120), serving(GONE=str(gone)) as served:
        await ready(served)
        gone.touch()
        served.workers()[0].kill()
        await served.until_logged("could not be started again (the weights are gone); the others go on")
        assert (await served.health())[0] == 503
        async with connect(served.url, character="mira") as npc:
            await answered(npc)
            served.process.kill()
            assert "shutting down" in await cut_off(npc)
        await served.end()


async def test_what_keeps_a_worker_from_starting_is_said_once_and_ends_it_all(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.touch()
    async with asyncio.timeout(60), serving(GONE=str(gone)) as served:
        shown = await served.end()
    assert served.process.returncode == 1
    assert shown.count("ModelError: the weights are gone") == 1
    assert "Traceback" not in shown
    assert "again" not in shown
