"""`npc profile actions | face | performance | agreement`: what parts of a reply cost, and how good they are."""

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from npc.models import ModelStore
    from npc.tts.coqui import CoquiSynthesiser
    from npc.tts.hibari import HibariSynthesiser

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Models = Annotated[Path | None, typer.Option(help="A folder of models to use as it is, before the cache.")]


def actions(models: Models = None, as_json: AsJson = False) -> None:
    """Time a scene of 500 entities: a delta, the grammar, the mask of a token."""
    from npc.config import load_settings
    from npc.profile.actions import run_actions_profile

    settings = load_settings(None, {"models_dir": models})
    _show(run_actions_profile(_store(models).ensure(settings.llm.model)), as_json)


def face(as_json: AsJson = False) -> None:
    """Time visemes and blendshapes of a clause, and measure how far lips and audio close apart."""
    from npc.profile.face import run_face_profile

    with closing(_synthesiser()) as synthesiser:
        _show(run_face_profile(synthesiser), as_json)


def performance(as_json: AsJson = False) -> None:
    """Time what a reply waits for besides its models: the scene, the prompt, and a face before the first audio."""
    from npc.profile.performance import run_performance_profile

    with closing(_synthesiser()) as synthesiser:
        _show(run_performance_profile(synthesiser), as_json)


def agreement(
    cases: Annotated[Path, typer.Argument(help="Labelled replies, a JSON object a line: tests/data/agreement.jsonl")],
    as_json: AsJson = False,
) -> None:
    """Count replies that say one thing and do another, before and after they are mended."""
    from npc.profile.agreement import read_cases, run_agreement_profile

    _show(run_agreement_profile(read_cases(cases)), as_json)


def _store(models: Path | None) -> "ModelStore":
    from npc.models import ModelStore, bars

    with bars() as progress:
        return ModelStore(models_dir=models, progress=progress)


def _synthesiser() -> "HibariSynthesiser | CoquiSynthesiser":
    from npc.config import load_settings
    from npc.tts import load_synthesiser

    return load_synthesiser(load_settings().speaking)


def _show(report: dict[str, Any], as_json: bool) -> None:  # JSON
    if as_json:
        print(json.dumps(report))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _rows(report):
        table.add_row(name, value)
    Console(highlight=False).print(table)


def _rows(report: dict[str, Any], under: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in report.items():
        title = f"{under}{name}".replace("_", " ")
        if isinstance(value, dict):
            rows += _rows(value, f"{title}: ")
        elif isinstance(value, list):
            rows += [(title if index == 0 else "", str(each)) for index, each in enumerate(value)]
        else:
            rows.append((title, str(value)))
    return rows
