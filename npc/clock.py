"""The latency clock. Speech time never comes from here: it is the sample count.

Everything that measures or waits takes a `Clock`, so that tests run on a
virtual one (`npc.testing.VirtualClock`).
"""

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> float:
        """Monotonic milliseconds since an arbitrary start."""
        ...


class MonotonicClock:
    def now_ms(self) -> float:
        return time.perf_counter() * 1e3
