"""Models of the Hugging Face hub, `org/name` or `org/name@revision`, in the hub library's own cache."""

import io
import re
from pathlib import Path
from typing import Any

from npc.errors import ModelError

from .disk import disk_errors
from .progress import Progress, Step

_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
# What the loaders read: safetensors or CTranslate2 weights, configs, tokenizers; not the same weights in other forms.
_WANTED = ["*.safetensors", "model.bin", "*.json", "*.txt", "*.model", "*.jinja"]
_UNWANTED = ["onnx/*", "openvino/*", "original/*"]


def is_hub_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None


def cached(name: str) -> Path | None:
    """The folder of a model that was downloaded whole, without asking the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        folder = Path(
            snapshot_download(
                repository,
                revision=revision or None,
                local_files_only=True,
                allow_patterns=_WANTED,
                ignore_patterns=_UNWANTED,
            )
        )
    except LocalEntryNotFoundError:
        return None
    return folder if _has_weights(folder) else None


def fetch(name: str, progress: Progress) -> Path:
    """Download a model. Raises ModelError: no such model, not allowed, no network, disk full, no usable weights."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    repository, _, revision = name.partition("@")
    progress(Step(name, "fetching"))
    try:
        with disk_errors(name, Path(constants.HF_HUB_CACHE)):
            folder = Path(
                snapshot_download(
                    repository,
                    revision=revision or None,
                    allow_patterns=_WANTED,
                    ignore_patterns=_UNWANTED,
                    tqdm_class=_reporting_to(name, progress),
                )
            )
    except ModelError:
        raise
    except GatedRepoError as error:
        raise ModelError(
            f"{name}: its owner lets only some people have it. Ask on the model's page, then run `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{name}: the hub has {repository}, but no revision {revision!r} of it") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{name}: the hub has no such model, or it is private and `hf auth login` has not been run "
            f"(a folder of your own is written ./{name})"
        ) from error
    except Exception as error:  # what its transports raise when a network fails differs from release to release
        raise ModelError(
            f"{name}: the Hugging Face hub at {constants.ENDPOINT} was not reached ({_first_line(error)}). "
            f"Run `npc models pull {name}` when there is a network, or name a folder that has it with --models DIR"
        ) from error
    if not _has_weights(folder):
        raise ModelError(f"{name}: the hub's model has no weights as safetensors or CTranslate2 (in {folder})")
    progress(Step(name, "ready"))
    return folder


def _reporting_to(name: str, progress: Progress) -> Any:
    """A tqdm class that draws nothing and reports bytes; Any, since tqdm has no types."""
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    most = 0

    class Reported(tqdm):  # type: ignore[misc, type-arg, unused-ignore]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs | {"file": io.StringIO()})

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            nonlocal most
            # the hub has a bar for what it receives and one for what it writes, and one that counts files
            if self.unit == "B" and self.n > most:
                most = self.n
                progress(Step(name, "fetching", most, max(most, self.total or 0)))

    return Reported


def _has_weights(folder: Path) -> bool:
    return (folder / "model.bin").exists() or any(folder.glob("*.safetensors"))


def _first_line(error: BaseException) -> str:
    return str(error.__cause__ or error).strip().splitlines()[0]
