"""How much a client may send, and how many may be here. Pure bookkeeping on a clock that is passed in."""

from collections.abc import Iterator
from contextlib import contextmanager

from npc.clock import Clock

from .codes import Refusal


class Bucket:
    """A leaky bucket: `capacity` fits at once, `leak_per_s` drains.

    The rate of events is one (events, leaking at their rate); microphone audio
    ahead of real time is another (seconds, leaking one a second).
    """

    def __init__(self, capacity: float, leak_per_s: float, clock: Clock) -> None:
        self._capacity = capacity
        self._leak_per_ms = leak_per_s / 1000
        self._clock = clock
        self._level = 0.0
        self._last_ms = clock.now_ms()

    def pour(self, amount: float = 1.0) -> bool:
        """Add `amount`; False, adding nothing, where it does not fit."""
        now_ms = self._clock.now_ms()
        self._level = max(0.0, self._level - (now_ms - self._last_ms) * self._leak_per_ms)
        self._last_ms = now_ms
        if self._level + amount > self._capacity:
            return False
        self._level += amount
        return True


class Seats:
    """Places for sessions."""

    def __init__(self, n_seats: int) -> None:
        self.n_seats = n_seats
        self._n_here = 0

    @property
    def n_taken(self) -> int:
        return self._n_here

    @property
    def is_full(self) -> bool:
        return self._n_here >= self.n_seats

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a seat. Raises Refusal (`too-many-sessions`)."""
        if self.is_full:
            raise Refusal("too-many-sessions", f"all {self.n_seats} sessions of this server are taken; try again later")
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._n_here += change
