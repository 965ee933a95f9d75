"""How many cores this process may use, and how many threads a stage gets of them.

Not how many the machine has: a container's share and a process's affinity are less. On two
cores every stage has one thread; with more of them, the stages that would keep the players
of a full server waiting have several.
"""

import os
from functools import cache
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@cache
def usable_cores(quota: Path = _QUOTA) -> int:
    """At least one. `quota` is the file in which Linux tells a container's share: microseconds, and of how many."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text("ascii").split()
        return max(1, min(n_cores, int(share) // int(period)))
    except (OSError, ValueError):  # there is no such file, or it says "max"
        return n_cores


def one_in(n_cores: int) -> int:
    """A thread for every `n_cores` cores, and at least one."""
    return max(1, usable_cores() // n_cores)
