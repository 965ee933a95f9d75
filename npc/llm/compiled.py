"""Where compiled loops are kept, and what compiling leaves behind.

numba looks only at the file of the function that it keeps; here a change of
any file whose code is compiled into it counts. What was kept is whole or not
there: processes that start at the same time may both compile, and both write.
"""

import ctypes
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]  # without stubs
import numba

from npc.models.store import default_home

_MADV_DONTNEED = 4
_SOURCES = ("attend", "fused", "kernels", "layout", "simd", "team")
_PREFIX = "loops-"
STALE_DAYS = 14
FAST = {"reassoc", "contract", "arcp", "nsz"}
"""Sums may be made in another order; numbers that are none stay none."""


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """`function` by numba, without the interpreter's lock; compiled once on a machine, wherever there is room for it.

    That is under NPC_HOME (numba's own NUMBA_CACHE_DIR goes first), else where numba finds a place, else nowhere.
    """
    config: Any = numba.config  # filled when it is imported
    before = config.CACHE_DIR
    config.CACHE_DIR = before or _folder()
    try:
        made: Callable[..., None] = numba.njit(nogil=True, cache=True, fastmath=FAST)(function)
    except RuntimeError:  # nowhere: each process compiles for itself
        made = numba.njit(nogil=True, fastmath=FAST)(function)
    finally:
        config.CACHE_DIR = before
    return made


def _folder() -> str:
    """Named after all that goes into the loops; "" where nothing can be written."""
    here = Path(__file__).parent
    content = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for name in _SOURCES:
        content.update((here / f"{name}.py").read_bytes())
    folder = default_home() / "derived" / f"{_PREFIX}{content.hexdigest()[:16]}"
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        os.utime(folder)  # in use
    except OSError:
        return ""
    if is_new:
        forget_stale(folder.parent, time.time())
    return str(folder)


def forget_stale(derived: Path, now_s: float) -> None:
    """Remove loops of other versions that no process has started with for `STALE_DAYS`.

    One that runs for longer has loaded its own, and would make the folder again if it needed more.
    """
    for folder in derived.glob(f"{_PREFIX}*"):
        try:
            is_stale = now_s - folder.stat().st_mtime > STALE_DAYS * 86400
        except OSError:  # another process removes them as well
            continue
        if is_stale:
            shutil.rmtree(folder, ignore_errors=True)


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
