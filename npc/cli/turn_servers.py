"""A process of its own that serves one set of models under several settings, each at its own port.

    python -m npc.cli.turn_servers   stdin: one line, {"config": …, "settings": [overrides, …]}
                                     stdout: one line, ["ws://…", …]; it ends when stdin does

So that whoever measures does not share an interpreter with what is measured.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any


@asynccontextmanager
async def turn_servers(
    settings: Sequence[Mapping[str, Any]],  # as load_settings takes them
    config: Path | None,
) -> AsyncIterator[list[str]]:
    """The addresses of servers under each of `settings`. Raises ConfigError where they do not start."""
    from npc.errors import ConfigError

    command = (sys.executable, "-m", "npc.cli.turn_servers")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process was started without the pipes that it was asked to have")
    try:
        asked = {"config": None if config is None else str(config), "settings": list(settings)}
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise ConfigError("the servers to be measured did not start; what they said is above")
        yield json.loads(line)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _serve() -> None:
    from npc.config import load_settings
    from npc.engine import Engine
    from npc.errors import NpcError
    from npc.server import NpcServer

    asked = json.loads(sys.stdin.readline())
    config = None if asked["config"] is None else Path(asked["config"])
    try:
        wanted = [load_settings(config, overrides) for overrides in asked["settings"]]
        with_all = wanted[0].turn_taking.model_copy(
            update={"smart_turn": any(each.turn_taking.smart_turn for each in wanted)}
        )
        engine = await Engine.load(wanted[0].model_copy(update={"turn_taking": with_all}))
    except NpcError as error:
        sys.exit(str(error))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.close)
        servers = []
        for each in wanted:
            local = each.server.model_copy(update={"host": "127.0.0.1", "port": 0, "token": ""})
            servers.append(await stack.enter_async_context(NpcServer(engine.under(each), local)))
        print(json.dumps([server.url for server in servers]), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
