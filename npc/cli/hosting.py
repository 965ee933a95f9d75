"""What commands share: errors as one red line, and an engine behind a server of its own on this machine."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.config import Settings
    from npc.engine import Engine


def run(main: Coroutine[Any, Any, None], console: "Console") -> None:
    """Run a command to its end: 1 where it failed for a reason that can be told, 130 after Ctrl-C."""
    from npc.client import ConnectionLost, ServerRefused
    from npc.errors import NpcError

    try:
        asyncio.run(main)
    except (NpcError, ConnectionLost, ServerRefused) as error:
        console.print(f"[red]{type(error).__name__}[/]: ", end="")
        console.print(str(error), markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def check_folder_of(out: Path) -> None:
    """Raises ConfigError where nothing can be written there, so that it is known before anything is made."""
    from npc.errors import ConfigError

    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent} to write it to")


@dataclass(frozen=True, slots=True)
class Host:
    url: str
    engine: "Engine"
    ready_s: float
    """How long it took until a client could connect."""


@asynccontextmanager
async def hosted(settings: "Settings", console: "Console") -> AsyncIterator[Host]:
    """Load the models and serve them on a free port of this machine."""
    start_s = time.perf_counter()
    console.print("loading the models…", style="dim")
    from npc.engine import Engine
    from npc.models import bars
    from npc.server import NpcServer

    with bars(console) as progress:
        engine = await Engine.load(settings, progress)
    try:
        local = settings.server.model_copy(update={"host": "127.0.0.1", "port": 0, "token": ""})
        async with NpcServer(engine, local) as server:
            ready_s = time.perf_counter() - start_s
            console.print(f"ready in {ready_s:.1f} s at {server.url}", style="dim")
            yield Host(server.url, engine, ready_s)
    finally:
        await engine.close()


@asynccontextmanager
async def server_at(
    url: str | None, config: Path | None, overrides: Mapping[str, Any], console: "Console"
) -> AsyncIterator[str]:
    """The address of a server: the one at `url`, or one that lives as long as the command."""
    if url is not None:
        yield url
        return
    from npc.config import load_settings

    async with hosted(load_settings(config, overrides), console) as host:
        yield host.url
