"""What `npc profile turns` measured as one HTML page that needs nothing else: figures, waterfall, curve."""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from npc.errors import ConfigError
from npc.profile.turns import PlayedTurn
from npc.profile.waterfall import NAMES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } th, td { padding: .2rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left } th { color: #777; font-weight: normal }
tr { border-bottom: 1px solid #eee }
"""


def page(
    summaries: Mapping[str, Mapping[str, Any]],  # as summarise_turns makes them, by the name of the setting
    median: PlayedTurn | None,
    path: Sequence[tuple[str, float]],
) -> str:
    """Raises ConfigError where plotly is not installed."""
    figures = [_curve(summaries)]
    if median is not None and median.metrics is not None:
        figures += [_path(path), _waterfall(median)]
    drawn = [figure.to_html(full_html=False, include_plotlyjs=i == 0) for i, figure in enumerate(figures)]
    title = "Voice to voice"
    words = "" if median is None else f"<p>The median turn: “{html.escape(median.words)}”</p>"
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>{_table(summaries)}{drawn[0]}{words}{''.join(drawn[1:])}</body></html>"
    )


def _table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, summary in summaries.items():
        voiced = summary["voice_to_voice_ms"] or {}
        cells = [name, *(voiced.get(p, "–") for p in ("p50", "p95", "p99"))]
        cells += [summary["cut_off_percent"], summary["n_missed"], summary["n_turns"]]
        rows.append("".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells))
    headings = ("setting", "p50, ms", "p95", "p99", "cut off, %", "missed", "turns")
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _curve(summaries: Mapping[str, Mapping[str, Any]]) -> "Figure":
    figure = _figure("False cutoffs against waiting", "voice to voice, ms", "cut off, %")
    shown = {name: summary for name, summary in summaries.items() if summary["voice_to_voice_ms"]}
    for percentile in ("p50", "p95"):
        points = sorted((summary["voice_to_voice_ms"][percentile], name) for name, summary in shown.items())
        figure.add_scatter(
            x=[ms for ms, _ in points],
            y=[shown[name]["cut_off_percent"] for _, name in points],
            text=[name for _, name in points],
            mode="markers+text",
            textposition="top center",
            name=percentile,
        )
    return figure


def _path(path: Sequence[tuple[str, float]]) -> "Figure":
    figure = _figure("What the player waited for", "ms after the last sample that was spoken", "")
    start_ms = 0.0
    for name, ms in path:
        figure.add_bar(y=["critical path"], x=[ms], base=[start_ms], orientation="h", name=NAMES.get(name, name))
        start_ms += ms
    figure.update_layout(barmode="overlay", height=220)
    return figure


def _waterfall(turn: PlayedTurn) -> "Figure":
    figure = _figure("Its stages", "ms after the last sample that was spoken", "")
    spans = () if turn.metrics is None else turn.metrics.spans
    figure.add_bar(
        y=[NAMES.get(span.name, span.name) for span in spans],
        x=[span.end_ms - span.start_ms for span in spans],
        base=[span.start_ms for span in spans],
        orientation="h",
    )
    figure.update_yaxes(autorange="reversed")
    return figure


def _figure(title: str, x: str, y: str) -> "Figure":
    try:
        from plotly.graph_objects import Figure
    except ImportError:
        raise ConfigError("a page needs plotly: pip install 'npc-realtime[profile]'") from None
    figure = Figure()
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, template="plotly_white")
    return figure
