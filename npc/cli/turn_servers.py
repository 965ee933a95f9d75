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

from npc.cli.programs import running


@asynccontextmanager
async def turn_servers(
    settings: Sequence[Mapping[str, Any]],  # as load_settings takes them
    config: Path | None,
) -> AsyncIterator[list[str]]:
    """The addresses of servers under each of `settings`. Raises ConfigError where they do not start."""
    asked = {"config": None if config is None else str(config), "settings": list(settings)}
    async with running(sys.executable, "-m", "npc.cli.turn_servers", asked=asked) as line:
        yield json.loads(line)


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
