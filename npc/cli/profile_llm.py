"""`npc profile llm`: how fast the language model engine is here, beside what a user would pick instead."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from npc.cli.profile_drafting import add_rows, measure_drafting

PEER = "smollm2-135m-instruct"
"""The model of which the catalog has the same weights for llama.cpp."""

MEASURES = {
    "decode": ("writing, tokens/s", "≥ 1.2 × llama.cpp, ≥ 5 × transformers"),
    "decode_in_context": ("writing after 600 tokens, tokens/s", ""),
    "first_token": ("first token, 600 cached + 24 new, ms", "≤ llama.cpp"),
    "read": ("reading 600 tokens, tokens/s", "≥ 3 × llama.cpp"),
}


def llm(
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is measured; medians are shown.")] = 5,
    weights: Annotated[str | None, typer.Option(help="int4, int8 or bf16, instead of the settings' own.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of every engine.")] = None,
    model: Annotated[str, typer.Option(help="A language model; the peers read only the default's weights.")] = PEER,
    peers: Annotated[bool, typer.Option(help="Measure llama.cpp and transformers too.")] = True,
    drafts: Annotated[bool, typer.Option(help="Measure drafted replies of characters, on the default model.")] = True,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is, before the cache.")] = None,
    config: Annotated[Path | None, typer.Option(help="A settings file instead of ./npc.toml.")] = None,
    device: Annotated[
        str | None, typer.Option(help="cuda or cpu: measure this device by itself, beside its memory's limit.")
    ] = None,
    shape: Annotated[str, typer.Option(help="With --device: a model of this shape (8b, 135m or tiny).")] = "135m",
    random: Annotated[bool, typer.Option("--random", help="With --device: its weights are random.")] = False,
    tuning_s: Annotated[float, typer.Option(min=0, help="With --device: seconds to look for better blocks.")] = 0.0,
    out: Annotated[Path | None, typer.Option(help="With --device: a file for each part as it is known.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the language model engine: writing, reading, first token, eight sessions at once, speculation."""
    if device is not None:
        _profile_device(device, shape, random, weights, tuning_s, config, out)
        return
    from npc.config import load_settings
    from npc.errors import NpcError
    from npc.models import ModelStore, bars
    from npc.profile.llm import run_llm_profile

    try:
        given = {"models_dir": models, "llm": {"model": model, "weights": weights, "n_threads": threads}}
        settings = load_settings(config, given)
        with bars() as progress:
            store = ModelStore(models_dir=settings.models_dir, progress=progress)
            folder = store.ensure(settings.llm.model)
            has_peer = peers and settings.llm.model == PEER
            gguf = next(store.ensure(f"{PEER}-gguf").glob("*.gguf")) if has_peer else None
        derived = store.derived(settings.llm.model, "llm")
        report = run_llm_profile(folder, derived, gguf, settings.llm, rounds, with_transformers=peers)
        if drafts:
            report["drafting"] = measure_drafting(store, settings, rounds)
    except NpcError as error:
        typer.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _show(report)


def _profile_device(
    device: str,
    shape: str,
    is_random: bool,
    weights: str | None,
    tuning_s: float,
    config: Path | None,
    out: Path | None,
) -> None:
    import tempfile

    from npc.config import load_settings
    from npc.errors import ConfigError, NpcError

    def note(report: dict[str, Any]) -> None:  # JSON
        if out is not None:
            out.write_text(json.dumps(report, indent=1), encoding="utf-8")

    try:
        if not is_random:
            raise ConfigError(f"a shape without its weights: say --random to measure {shape} with random ones")
        settings = load_settings(config, {"llm": {"device": device, "weights": weights}}).llm
        from npc.llm.start import choose_device
        from npc.profile.device import for_shape, run_device_profile

        choose_device(settings)
        with tempfile.TemporaryDirectory() as folder:
            report = run_device_profile(for_shape(settings, shape), shape, Path(folder), tuning_s=tuning_s, note=note)
    except NpcError as error:
        typer.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        raise typer.Exit(1) from None
    print(json.dumps(report, indent=1))


def _show(report: dict[str, Any]) -> None:  # the report's JSON
    from rich.console import Console
    from rich.table import Table

    table = Table("", "ours", "llama.cpp", "transformers", "ratio", "aim", box=None, header_style="bold")
    for key, (label, aim) in MEASURES.items():
        row = report[key]
        ratios = [f"{row[f'ratio_to_{who}']:.2f}" for who in ("llama.cpp", "transformers") if f"ratio_to_{who}" in row]
        cells = [f"{row[who]:.1f}" if who in row else "" for who in ("ours", "llama.cpp", "transformers")]
        table.add_row(label, *cells, ", ".join(ratios), aim)
    together, drafted = report["together"], report["speculation"]
    table.add_row(
        "eight at once, tokens/s", f"{together['eight']:.1f}", "", "", f"{together['ratio']:.2f}", "≥ 2 × one"
    )
    to_peer = drafted.get("ratio_to_llama.cpp")
    table.add_row(
        f"quoting, drafted ({drafted['tokens_a_pass']:.1f} tokens a pass), tokens/s",
        f"{drafted['drafted']:.1f}",
        f"{drafted['drafted'] / to_peer:.1f}" if to_peer else "",
        "",
        f"{to_peer:.2f}" if to_peer else f"{drafted['ratio']:.2f}",
        "≥ 2 × llama.cpp",
    )
    if "drafting" in report:
        add_rows(table, report["drafting"])
    table.add_row("ready from the cache, ms", str(report["ready_ms"]), "", "", "", "≤ 2000")
    table.add_row("resident memory added, MB", str(report["resident_mb"]), "", "", "", "≤ 300")
    settings = report["settings"]
    console = Console()
    console.print(table)
    console.print(
        f"{settings['weights']} weights, {settings['n_threads']} threads, medians of {settings['n_rounds']}",
        style="dim",
    )
