"""`npc models quantize` makes the small forms of a language model; `npc profile quantization` says what they lose."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from npc.config import Settings
    from npc.models import ModelStore
    from npc.profile.quantisation import Loss


class Weights(StrEnum):
    INT4 = "int4"
    INT8 = "int8"
    BF16 = "bf16"


Models = Annotated[Path | None, typer.Option(help="A folder of models to use as it is, before the cache.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def quantize(
    name: Annotated[str | None, typer.Argument(help="A language model; the settings' own where none is named.")] = None,
    weights: Annotated[list[Weights] | None, typer.Option(help="Which form; repeatable. All, where none.")] = None,
    models: Models = None,
    as_json: AsJson = False,
) -> None:
    """Make the quantised forms of a language model now, rather than when it is first used."""
    from npc.errors import NpcError

    try:
        store, settings = _open(models)
        name = name or settings.llm.model
        folder = store.ensure(name)
        from npc.llm.weights import prepare  # torch, only once the model is there

        files = {each: prepare(folder, store.derived(name, "llm"), each) for each in weights or list(Weights)}
    except NpcError as error:
        raise _ended(error) from None
    if as_json:
        rows = [
            {"model": name, "weights": each, "path": str(file), "n_bytes": file.stat().st_size}
            for each, file in files.items()
        ]
        print(json.dumps(rows, indent=2))
        return
    for each, file in files.items():
        print(f"{name} {each}: {file.stat().st_size / 1e6:.0f} MB, {file}")


def quantization(
    text: Annotated[
        Path | None, typer.Option(help="A text to measure on; what the shipped characters know where none is named.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=32, help="How much of it.")] = 2048,
    name: Annotated[str | None, typer.Option("--model", help="A language model; the settings' own otherwise.")] = None,
    models: Models = None,
    as_json: AsJson = False,
) -> None:
    """Measure what quantised weights and caches lose: perplexity, and agreement with bfloat16."""
    from npc.errors import InputError, NpcError

    try:
        store, settings = _open(models)
        name = name or settings.llm.model
        folder = store.ensure(name)
        try:
            words = text.read_text(encoding="utf-8") if text else _known()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{text}: cannot be read as text ({error})") from None
        from npc.profile.quantisation import measure_loss

        losses = measure_loss(folder, store.derived(name, "llm"), words, n_tokens=tokens)
    except NpcError as error:
        raise _ended(error) from None
    source = str(text or "what the shipped characters know")
    if as_json:
        print(json.dumps({"model": name, "text": source, "losses": [asdict(loss) for loss in losses]}, indent=2))
    else:
        _show(name, source, losses)


def _show(name: str, source: str, losses: "list[Loss]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("weights", "cache", "MB", "perplexity", "top-1 as bf16", "KL, nats", box=None, header_style="bold")
    for loss in losses:
        table.add_row(
            loss.weights,
            loss.cache,
            f"{loss.n_bytes / 1e6:.0f}",
            f"{loss.perplexity:.3f}",
            f"{100 * loss.top1_agreement:.1f} %",
            f"{loss.divergence:.4f}",
        )
    console = Console()
    console.print(table)
    console.print(f"{name} on {losses[0].n_tokens} tokens of {source}", style="dim")


def _known() -> str:
    from npc.character.load import character_folders, shipped_characters

    folders = character_folders(shipped_characters())
    return "\n\n".join(
        file.read_text(encoding="utf-8") for folder in folders for file in sorted(folder.glob("knowledge/*.md"))
    )


def _open(models: Path | None) -> "tuple[ModelStore, Settings]":
    from npc.config import load_settings
    from npc.models import ModelStore, bars

    settings = load_settings(None, {"models_dir": models})
    with bars() as progress:
        return ModelStore(models_dir=settings.models_dir, progress=progress), settings


def _ended(error: Exception) -> typer.Exit:
    typer.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
    return typer.Exit(1)
