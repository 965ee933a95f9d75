"""`npc profile`: where the time of a turn goes, over many spoken turns through a real server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.config import Settings
    from npc.profile.material import SpokenQuestion

profile_app = typer.Typer(help="Measure latency: of turns (without a subcommand), or of one part of the engine.")


@profile_app.callback(invoke_without_command=True)
def profile(
    context: typer.Context,
    turns: Annotated[int, typer.Option(min=1, help="How many spoken turns.")] = 20,
    character: Annotated[str | None, typer.Option(help="Ask only this one.")] = None,
    url: Annotated[str | None, typer.Option(help="Measure a server that runs; else one is started.")] = None,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file, instead of ./npc.toml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Speak questions over the websocket in real time; p50, p95 and p99 of every stage and voice to voice."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from npc.cli.hosting import run

    console = Console(stderr=True, highlight=False)
    run(_profile(turns, character, url, {"models_dir": models}, config, console, as_json), console)


async def _profile(
    n_turns: int,
    character: str | None,
    url: str | None,
    overrides: dict[str, Any],  # as load_settings takes them
    config: Path | None,
    console: "Console",
    as_json: bool,
) -> None:
    from rich.console import Console

    from npc.cli.hosting import hosted
    from npc.config import load_settings
    from npc.errors import ConfigError
    from npc.profile.material import spoken_questions
    from npc.profile.report import table

    settings = load_settings(config, overrides)
    questions = [question for question in spoken_questions() if character in (None, question.character)]
    if not questions:
        have = ", ".join(sorted({question.character for question in spoken_questions()}))
        raise ConfigError(f"there are no spoken questions for '{character}'; have some for {have}")
    if url is not None:
        summary = await _measure(url, questions, n_turns, settings, console)
    else:
        async with hosted(settings, console) as host:
            summary = await _measure(host.url, questions, n_turns, settings, console)
            summary |= {"ready_s": round(host.ready_s, 2), "resident_mb": _resident_mb()}
    if as_json:
        print(json.dumps(summary))
        return
    Console(highlight=False).print(table(summary, settings.budget))
    if "resident_mb" in summary:
        console.print(f"ready in {summary['ready_s']} s, {summary['resident_mb']} MB resident")


async def _measure(
    url: str, questions: "list[SpokenQuestion]", n_turns: int, settings: "Settings", console: "Console"
) -> dict[str, Any]:
    from rich.progress import Progress

    from npc.cli.spoken_turns import spoken_turns
    from npc.profile.report import summarise

    measured = []
    unanswered = 0
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("speaking", total=n_turns)
        async for _, _, turn in spoken_turns(url, questions, n_turns):
            bar.advance(task)
            if turn is None:
                unanswered += 1
            else:
                measured.append(turn)
    return summarise(measured) | {
        "n_unanswered": unanswered,
        "endpoint_ms": settings.turn_taking.endpoint_ms,
    }


def _resident_mb() -> int:
    """Of this process: engine, server and the client that measures."""
    import psutil

    return int(psutil.Process().memory_info().rss) // 2**20
