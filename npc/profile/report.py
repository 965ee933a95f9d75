"""Many turns as percentiles a stage: what `npc profile` prints and writes as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from npc.config import Budget
from npc.events import TurnMetrics
from npc.profile.waterfall import NAMES

if TYPE_CHECKING:
    from rich.table import Table

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class MeasuredTurn:
    metrics: TurnMetrics
    client_ms: float
    """From the last speech sample leaving the client to the first reply audio arriving there."""


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """{"p50": …, "p95": …, "p99": …}, to a tenth of a millisecond."""
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in PERCENTILES}


def summarise(turns: Sequence[MeasuredTurn]) -> dict[str, Any]:  # JSON
    """Percentiles of how long each stage took, of when it ended, and voice to voice as server and client see it."""
    took: dict[str, list[float]] = {name: [] for name in NAMES if name != "voice_to_voice"}
    ended: dict[str, list[float]] = {name: [] for name in took}
    for turn in turns:
        for span in turn.metrics.spans:
            took.setdefault(span.name, []).append(span.end_ms - span.start_ms)
            ended.setdefault(span.name, []).append(span.end_ms)
    voiced = [turn.metrics.voice_to_voice_ms for turn in turns if turn.metrics.voice_to_voice_ms is not None]
    return {
        "n_turns": len(turns),
        "voice_to_voice_ms": percentiles(voiced) if voiced else None,
        "client_voice_to_voice_ms": percentiles([turn.client_ms for turn in turns]) if turns else None,
        "stages_ms": {name: percentiles(values) for name, values in took.items() if values},
        "ended_ms": {name: percentiles(values) for name, values in ended.items() if values},
    }


def table(summary: dict[str, Any], budget: Budget) -> "Table":
    """The summary for a terminal."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="dim", title=f"{summary['n_turns']} turns", title_style="bold")
    shown.add_column("ms")
    for p in PERCENTILES:
        shown.add_column(f"p{p}", justify="right")
    shown.add_column("ended at (p50)", justify="right", style="dim")
    shown.add_column("budget", justify="right", style="dim")
    for name, values in summary["stages_ms"].items():
        allowed = getattr(budget, name, None)
        cells = [f"{values[f'p{p}']:.0f}" for p in PERCENTILES]
        ended = f"{summary['ended_ms'][name]['p50']:.0f}"
        shown.add_row(NAMES.get(name, name), *cells, ended, "" if allowed is None else f"{allowed:.0f}")
    shown.add_section()
    for key, title in (
        ("voice_to_voice_ms", "voice to voice"),
        ("client_voice_to_voice_ms", "the same, at the client"),
    ):
        if summary[key]:
            cells = [f"{summary[key][f'p{p}']:.0f}" for p in PERCENTILES]
            shown.add_row(title, *cells, "", f"{budget.voice_to_voice:.0f}", style="bold")
    return shown
