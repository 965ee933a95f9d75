"""One thread that owns one model.

The event loop never runs a model: stages hand their work to a `Worker`. Jobs
with a lower `priority` number run first, equal ones in order; a job whose
awaiter was cancelled before it began is dropped. A running job is not
interrupted, so jobs are short (one frame, one clause, one step).
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
    def __init__(self, name: str) -> None:
        self._jobs: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        return self._jobs.qsize()

    async def run(self, job: Callable[[], T], priority: int = NORMAL) -> T:
        """Run `job` on this worker's thread and return what it returns, or raise what it raises."""
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
        """Let the queued jobs finish, then end the thread.

        Without a time limit: a thread that is in a model's C++ when Python ends takes the process down with it.
        """
        self._jobs.put((IDLE + 1, next(self._order), None))
        self._thread.join()

    def _run(self) -> None:
        while True:
            _, _, job = self._jobs.get()
            if job is None:
                return
            job()
