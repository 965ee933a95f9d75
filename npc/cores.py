"""How many cores this process may use, and how many threads a stage gets of them.

Not how many the machine has: a container's share and a process's affinity are less, and
processes that serve together have a part each. On two cores every stage has one thread; with
more of them, the stages that would keep the players of a full server waiting have several.
"""

import os
from functools import cache
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_TOPOLOGY = Path("/sys/devices/system/cpu")
_own: int | None = None
"""Of this process, once it has settled on a part."""


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
    return max(1, (_own or usable_cores()) // n_cores)


def settle(index: int, n_processes: int) -> None:
    """Take the part of the cores that is the `index`th of `n_processes` equal ones, from 0, for good.

    To be called before any thread is started and any library of models is imported. On Linux the process is
    pinned to its part, unless a container's share is less than the cores that it may use: which ones
    are free then, only the system knows.
    """
    global _own
    n_usable = usable_cores()
    if hasattr(os, "sched_setaffinity") and len(cores := os.sched_getaffinity(0)) == n_usable:
        own = part(sorted(cores, key=_place), index, n_processes)
        os.sched_setaffinity(0, own)
        _own = len(own)
        return
    _own = max(1, n_usable // n_processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(_own))  # libraries count what they see


def part(cores: list[int], index: int, n_processes: int) -> list[int]:
    """Neighbours of `cores`; one that others have as well, where there are fewer cores than processes."""
    n = len(cores)
    return cores[index * n // n_processes : (index + 1) * n // n_processes] or [cores[index * n // n_processes]]


def _place(core: int, topology: Path = _TOPOLOGY) -> tuple[int, int, int]:
    """Sorts what shares a socket, and then what shares a core's arithmetic, next to each other."""
    try:
        folder = topology / f"cpu{core}" / "topology"
        package, shared = (int((folder / name).read_text("ascii")) for name in ("physical_package_id", "core_id"))
    except (OSError, ValueError):
        return (0, core, core)
    return (package, shared, core)
