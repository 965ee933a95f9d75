"""`npc models`: what weights there are, and fetching and checking them."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from npc.models import ModelStore, Progress

models_app = typer.Typer(no_args_is_help=True, help="The weights: list, fetch and verify them.")

Names = Annotated[list[str] | None, typer.Argument(help="Names from `npc models list`, or org/name on the hub.")]
Models = Annotated[Path | None, typer.Option(help="A folder of models to use as it is, before the cache.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models_app.command("list")
def list_models(models: Models = None, as_json: AsJson = False) -> None:
    """Every model of the catalog, with its size, its licence and where it is."""
    store = _store(models)
    rows = store.status()
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2, default=str))
        return

    from rich.console import Console
    from rich.table import Column, Table

    description = Column("description", no_wrap=True, ratio=1)  # gives way first in a narrow terminal
    table = Table("model", "for", "MB", "licence", "ready", description, box=None, expand=True, header_style="bold")
    for row in rows:
        ready = f"[green]{row.source}[/]" if row.source else "needed" if row.default else "[dim]no[/]"
        size = f"{row.n_bytes / 1e6:.0f}"
        table.add_row(f"[bold]{row.name}[/]", row.kind, size, row.licence, ready, row.description)
    console = Console()
    console.print(table)
    console.print(f"\ncache: {store.home}", highlight=False, soft_wrap=True)
    if missing := [row.name for row in rows if row.default and not row.source]:
        console.print(f"`npc models pull` fetches what the default settings need: {', '.join(missing)}")


@models_app.command()
def pull(names: Names = None, models: Models = None, as_json: AsJson = False) -> None:
    """Fetch models (by default what the default settings need), mend damaged ones, and make the first start quick."""
    from npc.config import load_settings
    from npc.models import bars, catalog

    with bars() as progress:
        store = _store(models, progress)
        llm = load_settings(None).llm

        def ready(name: str) -> Path:
            path = store.pull(name)
            if name == llm.model and llm.backend == "embedded":
                from npc.llm.weights import load  # torch, only once the model is there

                load(path, store.derived(name, "llm"), llm.weights, llm.context_tokens).warm_up()
            return path

        wanted = names or [model.name for model in catalog().values() if model.default]
        _each(wanted, ready, "ready", as_json)


@models_app.command()
def verify(names: Names = None, models: Models = None, as_json: AsJson = False) -> None:
    """Compare every file of the models (by default all that are here) with its checksum."""
    from npc.models import bars

    with bars() as progress:
        store = _store(models, progress)
        wanted = names or [row.name for row in store.status() if row.path]
        _each(wanted, store.verify, "verified", as_json)


def _store(models: Path | None, progress: "Progress | None" = None) -> "ModelStore":
    from npc.config import load_settings
    from npc.errors import NpcError
    from npc.models import ModelStore, quiet

    try:
        settings = load_settings(None, {"models_dir": models})
        return ModelStore(models_dir=settings.models_dir, progress=progress or quiet)
    except NpcError as error:
        raise _ended(error) from None


def _each(names: list[str], act: Callable[[str], Path], done: str, as_json: bool) -> None:
    """Do it to every model, say how it went, and leave with 1 when one failed."""
    from npc.errors import ModelError

    results: list[dict[str, str | None]] = []
    for name in names:
        try:
            path = act(name)
        except ModelError as error:
            if isinstance(error, KeyboardInterrupt):
                raise _ended(error, 130) from None
            results.append({"model": name, "path": None, "error": str(error)})
            if not as_json:
                _ended(error)
        else:
            results.append({"model": name, "path": str(path), "error": None})
            if not as_json:
                print(f"{name}: {done}, {path}")
    if as_json:
        print(json.dumps(results, indent=2))
    elif not results:
        print("no models are here; `npc models pull` fetches those that the default settings need")
    if any(result["error"] for result in results):
        raise typer.Exit(1)


def _ended(error: Exception, code: int = 1) -> typer.Exit:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(f"[red]{type(error).__name__}[/]: ", end="")
    console.print(str(error), markup=False, soft_wrap=True)
    return typer.Exit(code)
