"""A worker's part of a server's seats, counted where every process sees it."""

from npc.server.limits import Seats

from .balance import shares
from .tally import Tally


class WorkerSeats(Seats):
    """`n_taken` and `n_seats` are the whole server's; `is_full` is about this worker's part."""

    def __init__(self, n_seats: int, tally: Tally, worker: int) -> None:
        super().__init__(n_seats)
        self._tally = tally
        self._worker = worker
        self._n_own = shares(n_seats, len(tally.n_sessions))[worker]

    @property
    def n_taken(self) -> int:
        return sum(self._tally.n_sessions)

    @property
    def is_full(self) -> bool:
        return self._n_here >= self._n_own

    def _count(self, change: int) -> None:
        super()._count(change)
        self._tally.n_sessions[self._worker] = self._n_here
