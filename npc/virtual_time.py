"""A clock that jumps from one event to the next: what takes minutes is tested in an instant, and always alike.

When everybody waits for ever, it fails instead of hanging. Threads do not belong there.
"""

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
E = TypeVar("E")


class _VirtualSelector(selectors.DefaultSelector):
    """Waits no time at all, but counts it."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits, and nothing is going to happen: this would hang for ever")
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualClock:
    """The `Clock` of the event loop that runs, real or virtual."""

    def now_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1e3


def virtual_time(test: Callable[P, Coroutine[Any, Any, E]]) -> Callable[P, E]:
    """Run an async function to its end on a clock that jumps from one event to the next."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> E:
        selector = _VirtualSelector()

        def make_loop() -> asyncio.AbstractEventLoop:
            loop = asyncio.SelectorEventLoop(selector)
            loop.time = lambda: selector.now_s  # type: ignore[method-assign]  # the documented way to another clock
            return loop

        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(test(*args, **kwargs))

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]  # for parameters and fixtures
    del run.__wrapped__  # else pytest takes it for a coroutine
    return run
