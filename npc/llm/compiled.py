"""What is compiled on a machine: where it is kept, and what compiling leaves behind."""

import ctypes
from pathlib import Path

_MADV_DONTNEED = 4


def forget_compiler() -> None:
    """Let go of the pages of LLVM's code: 90 MB that the system reads back from the file if they are asked for again.

    On Linux; elsewhere nothing happens.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for line in maps.read_text().splitlines():
        span, access, *rest = line.split(maxsplit=5)
        if access == "r-xp" and rest[-1].endswith("libllvmlite.so"):
            start, end = (int(address, 16) for address in span.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)
