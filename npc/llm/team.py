"""Threads that help with compiled loops: they take pieces of a step while there are any, and are never waited for idle.

Work is shared by counters (`simd.fetch_add`): whoever is free takes the next
piece. A helper that wakes late finds nothing left, which costs no one anything.
"""

import functools
import queue
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from npc.llm.simd import fetch_add, give_way, pause, peek

Array = np.ndarray[Any, np.dtype[Any]]  # numba knows the shapes, which the comments give

SPACING = 16
"""Counters of a stage, [SPACING] int64, zeros: how many pieces were taken, and half a line on, how many are done."""

Job = tuple[Callable[..., None], tuple[Any, ...]]  # a compiled function and what it takes


class Team:
    """The calling thread and `n_threads` - 1 others, which sleep between jobs."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for index in range(n_threads - 1):
            threading.Thread(target=self._help, name=f"network {index + 1}", daemon=True).start()

    def run(self, work: Callable[..., None], *arguments: Any) -> None:
        """`work` must let go of the interpreter, take its pieces by counters, and return when all are done."""
        for _ in range(self.n_threads - 1):
            self._jobs.put((work, arguments))
        work(*arguments)

    def _help(self) -> None:
        while True:
            work, arguments = self._jobs.get()
            work(*arguments)
            del arguments  # else the last job's memory would be held until the next


@functools.cache
def team(n_threads: int) -> Team:
    """One for all models of the process."""
    return Team(n_threads)


@numba.njit(inline="always")
def take(counters: Array, stage: int) -> int:
    piece: int = fetch_add(counters.ctypes.data + stage * SPACING * 8, 1)
    return piece


@numba.njit(inline="always")
def finish(counters: Array, stage: int) -> int:
    """One piece of `stage` is done; and the next one to take."""
    fetch_add(counters.ctypes.data + stage * SPACING * 8 + SPACING * 4, 1)
    return take(counters, stage)


@numba.njit(inline="always")
def wait(counters: Array, stage: int, n_pieces: int) -> None:
    n_tries = 0
    while peek(counters.ctypes.data + stage * SPACING * 8 + SPACING * 4) < n_pieces:
        pause()
        n_tries += 1
        if n_tries % 1024 == 0:  # whoever has the last piece may be waiting for this core
            give_way()
