"""A reply as lanes above each other, on the clock of its audio: words, mouth, feelings, deeds.

    words  Mind the step.    It is loose.
    mouth  PP aa nn DD …
    shows  gruff                 ↷ shrug   → well
    does                     ▶ walk_to(place=well)

What was played is bright, what is to come is dim. Pure: events and a position
go in, text comes out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from npc.events import (
    ActionCancelled,
    ActionCommitted,
    ActionEvent,
    ActionStop,
    EmotionEvent,
    FaceEvent,
    FeelingEvent,
    GazeEvent,
    GestureEvent,
    ServerEvent,
    WordsEvent,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMN_MS = 40
"""Of speech that one letter of a lane stands for."""
_LABEL = 7
_STYLES = {"words": "bold green", "mouth": "cyan", "shows": "yellow", "does": "bold magenta"}
_MARKS = {"proposed": "·", "committed": "▶", "cancelled": "✗", "stopped": "■"}


@dataclass(slots=True)
class Lanes:
    """Of one reply. Feed it with `add`; `render` shows it as it is when playback stands at a sample."""

    rate_hz: int
    feeling: FeelingEvent | None = None
    _words: list[tuple[int, str]] = field(default_factory=list)  # (sample, text)
    _mouth: list[tuple[int, str]] = field(default_factory=list)
    _shows: list[tuple[int, str]] = field(default_factory=list)
    _does: list[ActionEvent] = field(default_factory=list)
    _fates: dict[str, str] = field(default_factory=dict)

    def add(self, event: ServerEvent) -> None:
        match event:
            case WordsEvent(words=words, sample=sample, text=text):
                self._words += [(word.sample, word.text) for word in words] or [(sample, text)]
            case FaceEvent(visemes=visemes):
                self._mouth += [(key.sample, key.viseme) for key in visemes if key.viseme != "sil"]
            case EmotionEvent(sample=sample, name=name):
                self._shows.append((sample, name))
            case GestureEvent(sample=sample, name=name):
                self._shows.append((sample, f"↷ {name}"))
            case GazeEvent(sample=sample, target=target):
                self._shows.append((sample, f"→ {target}"))
            case FeelingEvent():
                self.feeling = event
            case ActionEvent():
                self._does.append(event)
            case ActionCommitted(id=action):
                self._fates[action] = "committed"
            case ActionCancelled(id=action):
                self._fates[action] = "cancelled"
            case ActionStop(id=action):
                self._fates[action] = "stopped"
            case _:
                pass

    def lines(self, width: int) -> list[tuple[int, str, str]]:
        """(the column that it begins at, lane, text): for each row of `width` letters the lanes that hold something."""
        per_row = max(width - _LABEL, 20)
        placed = {name: _placed(items, self._column) for name, items in self._lanes()}
        n_columns = max((column + len(text) for items in placed.values() for column, text in items), default=0)
        rows: list[tuple[int, str, str]] = []
        for start in range(0, n_columns, per_row):
            for name, items in placed.items():
                row = _row(items, start, per_row)
                if row.strip():
                    rows.append((start, name, row))
        return rows

    def render(self, position: int, width: int) -> "RenderableType":
        """Everything, with what lies behind the sample `position` dimmed."""
        from rich.console import Group
        from rich.text import Text

        lines = []
        for start, name, row in self.lines(width):
            played = min(max(self._column(position) - start, 0), len(row))
            line = Text(f"{name:<{_LABEL}}", "dim")
            line.append(row[:played], _STYLES[name]).append(row[played:], "dim")
            lines.append(line)
        if self.feeling is not None:
            gauges = f"mood {self.feeling.mood:+}  arousal {self.feeling.arousal:+}  regard {self.feeling.regard:+}"
            lines.append(Text(f"{'feels':<{_LABEL}}", "dim").append(gauges, _STYLES["shows"]))
        return Group(*lines)

    def _lanes(self) -> Sequence[tuple[str, list[tuple[int, str]]]]:
        does = [
            (action.sample, f"{_MARKS[self._fates.get(action.id, 'proposed')]} {_call(action)}")
            for action in self._does
        ]
        return ("words", self._words), ("mouth", self._mouth), ("shows", self._shows), ("does", does)

    def _column(self, sample: int) -> int:
        return sample * 1000 // (self.rate_hz * COLUMN_MS)


def _placed(items: list[tuple[int, str]], column_of: Callable[[int], int]) -> list[tuple[int, str]]:
    """Each where it belongs, or behind what is before it."""
    placed: list[tuple[int, str]] = []
    free = 0
    for sample, text in sorted(items, key=lambda item: item[0]):
        at = max(column_of(sample), free)
        placed.append((at, text))
        free = at + len(text) + 1
    return placed


def _row(items: list[tuple[int, str]], start: int, length: int) -> str:
    row = [" "] * length
    for column, text in items:
        for n, letter in enumerate(text, column - start):
            if 0 <= n < length:
                row[n] = letter
    return "".join(row).rstrip()


def _call(action: ActionEvent) -> str:
    return f"{action.name}({', '.join(f'{key}={value}' for key, value in action.args.items())})"
