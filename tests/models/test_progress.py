"""What is shown while a model is made."""

import io

from rich.console import Console

from npc.models import Step, bars

STEPS = [
    Step("small", "fetching", 0, 93_000_000),
    Step("small", "fetching", 46_500_000, 93_000_000),
    Step("small", "converting", 0, 98_000_000),
    Step("other", "waiting"),
    Step("small", "ready", 272_000_000, 272_000_000),
]


def shown_at_the_end_of(steps: list[Step]) -> str:
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    with bars(screen) as progress:
        for step in steps:
            progress(step)
    return screen.file.getvalue()


def test_a_terminal_gets_a_bar_for_each_model() -> None:
    early = shown_at_the_end_of(STEPS[:2])
    assert "fetching" in early
    assert "46.5/93.0 MB" in early

    late = shown_at_the_end_of(STEPS)
    assert "272.0/272.0 MB" in late
    assert "other" in late
    assert "waiting" in late


def test_a_log_gets_a_line_for_each_part_of_the_work() -> None:
    log = Console(file=io.StringIO(), force_terminal=False)
    with bars(log) as progress:
        for step in STEPS:
            progress(step)
    assert log.file.getvalue().splitlines() == [
        "small: fetching (93 MB)",
        "small: converting (98 MB)",
        "other: waiting",
        "small: ready (272 MB)",
    ]
