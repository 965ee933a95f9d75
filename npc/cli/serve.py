"""`npc serve`: load the models once and serve conversations until Ctrl-C."""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.config import Settings


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
    metrics_port: Annotated[int | None, typer.Option(help="Serve Prometheus metrics on this port.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file, instead of ./npc.toml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line once ready.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is said, too.")] = False,
) -> None:
    """Serve characters over a websocket (docs/protocol.md) until Ctrl-C."""
    from rich.console import Console

    from npc.config import load_settings
    from npc.errors import NpcError
    from npc.server import check_address

    console = Console(stderr=True, highlight=False)
    backend = llm or ("openai" if llm_url else None)
    try:
        settings = load_settings(
            config,
            {
                "server": {"host": host, "port": port, "token": token, "metrics_port": metrics_port},
                "llm": {"backend": backend, "base_url": llm_url, "model": llm_model, "n_threads": threads},
                "recognition": {"n_threads": threads},
                "characters_dir": characters,
                "models_dir": models,
            },
        )
        check_address(settings.server.host, settings.server.port)
        _log(verbose)
        asyncio.run(_serve(settings, console, as_json))
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
            took_s = time.perf_counter() - start_s
            if as_json:
                print(json.dumps({"url": server.url, "characters": list(engine.characters)}), flush=True)
            console.print(f"ready in {took_s:.1f} s: [bold]{server.url}[/]")
            for character in engine.characters.values():
                console.print(f"  [bold]{character.id}[/]  {character.name}, {character.role}")
            console.print(
                f"talk with one: npc talk {next(iter(engine.characters), '')} --url {server.url}; end with Ctrl-C"
            )
            await until_signalled()
            console.print("ending…")
    finally:
        await engine.close()


def _log(verbose: bool) -> None:
    """Ids and durations at INFO; what people say only at DEBUG."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("npc").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("npc.server.websocket").setLevel(logging.WARNING)  # at DEBUG it writes every frame
