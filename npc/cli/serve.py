"""`npc serve`: load the models once and serve conversations until Ctrl-C."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.config import Server as ServerSettings
    from npc.config import Settings
    from npc.server.workers import Character, Post


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any free one.")] = None,
    characters: Annotated[Path | None, typer.Option(help="A folder of characters beside the ones that ship.")] = None,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    llm: Annotated[Literal["embedded", "openai"] | None, typer.Option(help="Where the language model runs.")] = None,
    llm_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible endpoint, with its /v1.")] = None,
    llm_model: Annotated[str | None, typer.Option(help="The language model's name.")] = None,
    token: Annotated[str | None, typer.Option(help="Clients must send this in session-start.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the language model and of recognition.")] = None,
    workers: Annotated[
        str | None, typer.Option(help="Processes that serve together; 'auto' is one for every two cores.")
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Serve Prometheus metrics on this port.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file, instead of ./npc.toml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line once ready.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is said, too.")] = False,
) -> None:
    """Serve characters over a websocket (docs/protocol.md) until Ctrl-C."""
    from rich.console import Console

    from npc.cli.worker import log_to_stderr, serve_as_worker
    from npc.config import load_settings
    from npc.errors import NpcError
    from npc.server import check_address

    console = Console(stderr=True, highlight=False)
    backend = llm or ("openai" if llm_url else None)
    overrides = {
        "server": {"host": host, "port": port, "token": token, "metrics_port": metrics_port, "workers": workers},
        "llm": {"backend": backend, "base_url": llm_url, "model": llm_model, "n_threads": threads},
        "recognition": {"n_threads": threads},
        "characters_dir": characters,
        "models_dir": models,
    }
    try:
        settings = load_settings(config, overrides)
        check_address(settings.server.host, settings.server.port)
        level = logging.DEBUG if verbose else logging.INFO
        log_to_stderr(level)
        n_workers = settings.server.n_workers
        if n_workers == 1:
            asyncio.run(_serve(settings, console, as_json))
        else:
            work = partial(serve_as_worker, config, overrides, level)
            asyncio.run(_supervise(work, settings.server, n_workers, console, as_json))
    except NpcError as error:
        console.print(f"[red]{type(error).__name__}[/]: ", end="")
        console.print(str(error), markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _serve(settings: "Settings", console: "Console", as_json: bool) -> None:
    start_s = time.perf_counter()
    console.print("loading the models…")
    from npc.engine import Engine
    from npc.models import bars
    from npc.server import NpcServer, until_signalled

    with bars(console) as progress:
        engine = await Engine.load(settings, progress)
    try:
        async with NpcServer(engine, settings.server) as server:
            _tell_ready(console, server.url, engine.characters.values(), start_s, as_json)
            await until_signalled()
            console.print("ending…")
    finally:
        await engine.close()


async def _supervise(
    work: "Callable[[Post], None]", settings: "ServerSettings", n_workers: int, console: "Console", as_json: bool
) -> None:
    start_s = time.perf_counter()
    console.print(f"loading the models in {n_workers} processes…")
    from npc.server import until_signalled
    from npc.server.workers import Supervisor

    async with Supervisor(work, settings, n_workers) as server:
        _tell_ready(console, server.url, server.characters, start_s, as_json)
        await server.until(until_signalled())
        console.print("ending…")


def _tell_ready(console: "Console", url: str, characters: "Iterable[Character]", start_s: float, as_json: bool) -> None:
    """`start_s` is when the command began, on the performance counter."""
    there = list(characters)
    took_s = time.perf_counter() - start_s
    if as_json:
        print(json.dumps({"url": url, "characters": [character.id for character in there]}), flush=True)
    console.print(f"ready in {took_s:.1f} s: [bold]{url}[/]")
    for character in there:
        console.print(f"  [bold]{character.id}[/]  {character.name}, {character.role}")
    first = there[0].id if there else ""
    console.print(f"talk with one: npc talk {first} --url {url}; end with Ctrl-C")
