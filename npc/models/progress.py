"""What fetching a model reports, and bars that show it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

Doing = Literal["waiting", "fetching", "verifying", "unpacking", "converting", "ready"]


@dataclass(frozen=True, slots=True)
class Step:
    """`n_done` of `n_total` bytes of this part of the work; a total of 0 is not known."""

    model: str
    doing: Doing
    n_done: int = 0
    n_total: int = 0


Progress = Callable[[Step], None]


def quiet(step: Step) -> None:
    """Shows nothing."""


@contextmanager
def bars(console: "Console | None" = None) -> Iterator[Progress]:
    """A bar for each model on a terminal (stderr by default), and a line for each part of the work elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    tasks: dict[str, tuple[TaskID, Doing]] = {}
    with Bars(TextColumn("{task.fields[model]:<24}{task.description:<11}"), *columns, console=console) as shown:

        def show(step: Step) -> None:
            known = tasks.get(step.model)
            if known is None:
                task = shown.add_task(step.doing, model=step.model, total=None)
            else:
                task = known[0]
                if known[1] != step.doing:
                    shown.reset(task, description=step.doing, total=None)
            tasks[step.model] = task, step.doing
            shown.update(task, completed=step.n_done, total=step.n_total or None)

        yield show


def _lines(console: "Console") -> Progress:
    last: dict[str, Doing] = {}

    def show(step: Step) -> None:
        if last.get(step.model) == step.doing:
            return
        last[step.model] = step.doing
        size = f" ({step.n_total / 1e6:.0f} MB)" if step.n_total else ""
        console.print(f"{step.model}: {step.doing}{size}", highlight=False)

    return show
