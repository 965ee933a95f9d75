"""Space, checksums and the errors of a disk that takes no more."""

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from npc.errors import ModelError

CHUNK = 1 << 20

# EFBIG and EDQUOT: a limit of the user's on the size of a file or on all of them.
_FULL = {errno.ENOSPC, errno.EFBIG} | ({errno.EDQUOT} if hasattr(errno, "EDQUOT") else set())


def disk_full(name: str, folder: Path, found: str) -> ModelError:
    return ModelError(
        f"{name}: {found} at {folder}; nothing was kept. Make room or set NPC_HOME to a folder on a bigger disk, "
        f"then run `npc models pull {name}`"
    )


def check_space(name: str, folder: Path, n_bytes: int) -> None:
    """`folder` exists. Raises ModelError when the disk has less than `n_bytes` free."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise disk_full(
            name, folder, f"the disk has too little room: {n_bytes / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free"
        )


@contextmanager
def disk_errors(name: str, folder: Path) -> Iterator[None]:
    """Turns what the system says while files are written into a ModelError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(name, folder, f"the disk is full ({error.strerror})") from error
        if error.filename:  # network errors are OSErrors as well, but have none
            raise ModelError(
                f"{name}: {error.filename} cannot be used ({error.strerror}); set NPC_HOME to a writable folder"
            ) from error
        raise


def sha256_of(path: Path, tick: Callable[[int], None] = lambda n_bytes: None) -> str:
    """`tick` hears the bytes of each piece as it is read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            tick(len(piece))
    return digest.hexdigest()
