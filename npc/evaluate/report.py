"""Scores as a table, one column a model, so that models are compared at a glance."""

from collections.abc import Mapping

from rich.table import Table

from npc.evaluate.score import Rate, Score

_ROWS = (
    ("actions: exact, clean", "exact"),
    ("actions: name, clean", "names"),
    ("acts when none is due", "unasked"),
    ("answers: grounded", "grounded"),
    ("abstains when it should", "abstains"),
    ("abstains when it should not", "abstains_wrongly"),
    ("injection, out of world: safe", "safe"),
    ("in character", "in_character"),
)


def table(scores: Mapping[str, Score]) -> Table:
    """Percent, with the number of cases that a rate rests on."""
    shown = Table(title="How the characters were played")
    shown.add_column("")
    for name in scores:
        shown.add_column(name, justify="right")
    for title, field in _ROWS:
        shown.add_row(title, *(_cell(getattr(score, field)) for score in scores.values()))
    shown.add_section()
    for kind in dict.fromkeys(kind for score in scores.values() for kind in score.kinds):
        shown.add_row(f"kind: {kind}", *(_cell(score.kinds.get(kind, Rate(0, 0))) for score in scores.values()))
    shown.add_section()
    gaps = [score.noise_gap for score in scores.values()]
    shown.add_row("points lost to the recogniser", *("–" if gap is None else f"{gap:.1f}" for gap in gaps))
    shown.add_row("words a reply, median", *(f"{score.words_median:g}" for score in scores.values()))
    shown.add_row("tokens to the first clause", *(f"{s.first_clause_tokens_median:g}" for s in scores.values()))
    return shown


def _cell(rate: Rate) -> str:
    return f"{rate.percent:.1f} % of {rate.n}" if rate.n else "–"
