"""The threads that own one model: one, or several where the model can be shared.

The event loop never runs a model: stages hand their work to a `Worker`. Jobs
with a lower `priority` number run first, equal ones in order; a job whose
awaiter was cancelled before it began is dropped. A running job is not
interrupted, so jobs are short (one frame, one clause, one step). With several
threads, jobs of one caller stay in order if each is awaited before the next.
"""

import asyncio
import contextlib
import itertools
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

URGENT, NORMAL, IDLE = 0, 1, 2
"""Final recognition and speech; partial results; work done ahead of need."""


class Worker:
    def __init__(self, name: str, n_threads: int = 1) -> None:
        """With more than one thread, jobs must be such that they may run at the same time."""
        self._jobs: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(n_threads)]
        for thread in self._threads:
            thread.start()

    @property
    def n_waiting(self) -> int:
        return self._jobs.qsize()

    async def run(self, job: Callable[[], T], priority: int = NORMAL) -> T:
        """Run `job` on a thread of this worker and return what it returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(value: Any, error: BaseException | None) -> None:
            if future.done():  # the awaiter is gone
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        def execute() -> None:
            if future.cancelled():
                return
            value: Any = None
            error: BaseException | None = None
            try:
                value = job()
            except BaseException as caught:  # handed to the awaiter, whatever it is
                error = caught
            # A loop that closed meanwhile has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, value, error)

        self._jobs.put((priority, next(self._order), execute))
        return await future

    def close(self) -> None:
        """Let the queued jobs finish, then end the threads.

        Without a time limit: a thread that is in a model's C++ when Python ends takes the process down with it.
        """
        for _ in self._threads:
            self._jobs.put((IDLE + 1, next(self._order), None))
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            _, _, job = self._jobs.get()
            if job is None:
                return
            job()
