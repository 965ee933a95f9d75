"""What every process of a server counts, in memory that all of them see.

Each number has one writer at a time, so that there is no lock with which a process could die.
"""

from ctypes import c_long
from multiprocessing import get_context


class Tally:
    """Handed to processes when they are spawned; it cannot be sent afterwards."""

    def __init__(self, n_workers: int) -> None:
        context = get_context("spawn")
        self.is_ready = context.RawArray(c_long, n_workers)
        """1 where a worker takes sessions."""
        self.n_sessions = context.RawArray(c_long, n_workers)
        self.n_over = context.RawArray(c_long, n_workers)
        """Connections that a worker was given and that have ended, since it was started."""

    @property
    def are_all_ready(self) -> bool:
        return all(self.is_ready)

    def clear(self, worker: int) -> None:
        """Of a process that has ended."""
        self.is_ready[worker] = self.n_sessions[worker] = self.n_over[worker] = 0
