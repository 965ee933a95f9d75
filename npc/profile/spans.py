"""The spans of one turn, on the latency clock, counted from the player's last speech sample."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from npc.clock import Clock
from npc.turn import Span


class Trace:
    """Collects the spans of one turn. `origin_ms` is when the player's last speech sample (or text) arrived."""

    def __init__(self, clock: Clock, origin_ms: float) -> None:
        self._clock = clock
        self._origin_ms = origin_ms
        self.spans: list[Span] = []

    def now_ms(self) -> float:
        """Milliseconds since the origin."""
        return self._clock.now_ms() - self._origin_ms

    def add(self, name: str, start_ms: float, end_ms: float, **attributes: Any) -> None:
        """Record a span whose times already count from the origin. Attributes are JSON scalars."""
        self.spans.append(Span(name, start_ms, end_ms, attributes))

    @contextmanager
    def span(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a block; what the block puts into the yielded dict becomes the span's attributes."""
        attributes: dict[str, Any] = {}
        start_ms = self.now_ms()
        try:
            yield attributes
        finally:
            self.add(name, start_ms, self.now_ms(), **attributes)

    def end_of(self, name: str) -> float | None:
        return next((span.end_ms for span in self.spans if span.name == name), None)
