"""A process of its own that serves one set of models under several settings, each at its own port.

    python -m npc.cli.turn_servers   stdin: one line, {"config": …, "settings": [overrides, …]}
                                     stdout: one line, ["ws://…", …]; it ends when stdin does

Or one setting with several workers, each with its own models, where its `server.workers` asks for them.

So that whoever measures does not share an interpreter with what is measured.
"""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npc.cli.programs import running

if TYPE_CHECKING:
    from npc.config import Server as ServerSettings
    from npc.config import Settings


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
    from npc.cli.worker import serve_as_worker
    from npc.config import load_settings
    from npc.errors import NpcError
    from npc.server.workers import Supervisor

    asked = json.loads(sys.stdin.readline())
    config = None if asked["config"] is None else Path(asked["config"])
    try:
        wanted = [load_settings(config, overrides) for overrides in asked["settings"]]
        async with AsyncExitStack() as stack:
            if len(wanted) == 1 and wanted[0].server.n_workers > 1:
                work = partial(serve_as_worker, config, asked["settings"][0], logging.WARNING)
                supervisor = Supervisor(work, _here(wanted[0]), wanted[0].server.n_workers)
                urls = [(await stack.enter_async_context(supervisor)).url]
            else:
                urls = await _serve_all(wanted, stack)
            print(json.dumps(urls), flush=True)
            await asyncio.to_thread(sys.stdin.read)
    except NpcError as error:
        sys.exit(str(error))


async def _serve_all(wanted: "Sequence[Settings]", stack: AsyncExitStack) -> list[str]:
    """The addresses of servers that share the models, until `stack` is left."""
    from npc.engine import Engine
    from npc.server import NpcServer

    with_all = wanted[0].turn_taking.model_copy(
        update={"smart_turn": any(each.turn_taking.smart_turn for each in wanted)}
    )
    engine = await Engine.load(wanted[0].model_copy(update={"turn_taking": with_all}))
    stack.push_async_callback(engine.close)
    return [(await stack.enter_async_context(NpcServer(engine.under(each), _here(each)))).url for each in wanted]


def _here(settings: "Settings") -> "ServerSettings":
    return settings.server.model_copy(update={"host": "127.0.0.1", "port": 0, "token": ""})


if __name__ == "__main__":
    asyncio.run(_serve())
