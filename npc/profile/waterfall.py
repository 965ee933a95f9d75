"""A turn as bars on one time axis, with each stage's budget beside it."""

from typing import TYPE_CHECKING

from npc.config import Budget
from npc.events import TurnMetrics

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 44
NAMES = {
    "vad": "voice activity",
    "endpoint": "end of turn",
    "asr": "recognition",
    "retrieve": "retrieval",
    "prefill": "prompt",
    "first_token": "first token",
    "first_clause": "first clause",
    "write": "writing",
    "tts": "speech",
    "audio_out": "first audio out",
    "voice_to_voice": "voice to voice",
}
"""Stages as people call them."""
AFTER_FIRST_AUDIO = {"write"}
"""Goes on while the reply is heard: drawn as far as the axis goes, and no part of the latency."""


def waterfall(metrics: TurnMetrics, budget: Budget) -> "Table":
    """Milliseconds from the player's last speech sample; red where a stage took longer than its budget."""
    from rich.table import Table
    from rich.text import Text

    axis_ms = max(
        [metrics.voice_to_voice_ms or 0, *(s.end_ms for s in metrics.spans if s.name not in AFTER_FIRST_AUDIO)],
        default=1.0,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage")
    table.add_column(f"0 → {axis_ms:.0f} ms after the last speech sample", width=WIDTH)
    table.add_column("ms", justify="right")
    table.add_column("budget", justify="right")

    def add(name: str, start_ms: float, end_ms: float) -> None:
        allowed = getattr(budget, name, None)
        took_ms = end_ms - start_ms
        colour = "cyan" if allowed is None else "green" if took_ms <= allowed else "red"
        start = min(WIDTH - 1, round(max(start_ms, 0) / axis_ms * WIDTH))
        end = min(WIDTH, max(start + 1, round(end_ms / axis_ms * WIDTH)))
        bar = Text(" " * start + "█" * (end - start), colour)
        table.add_row(NAMES.get(name, name), bar, f"{took_ms:.0f}", "" if allowed is None else f"{allowed:.0f}")

    for span in metrics.spans:
        add(span.name, span.start_ms, span.end_ms)
    if metrics.voice_to_voice_ms is not None:
        table.add_section()
        add("voice_to_voice", 0, metrics.voice_to_voice_ms)
    return table
