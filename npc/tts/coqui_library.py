"""Getting at Coqui TTS: is the library usable here, and where is the model that the settings name?"""

import importlib.metadata
import os
from pathlib import Path
from typing import Any

from npc.errors import ConfigError, ModelError

_NEWEST_TORCHAUDIO = "2.11"
_CHECKPOINTS = ("model.pth", "model_file.pth", "best_model.pth", "*.pth", "*.pth.tar")


def coqui_tts() -> Any:  # TTS.api.TTS; the library carries no types
    """The library's model class. Raises ConfigError that says what to install."""
    torch = _version("torch")
    release = ".".join((torch or _NEWEST_TORCHAUDIO).split(".")[:2])
    if _version("coqui-tts") is None:
        raise ConfigError(
            "speaking.engine is 'coqui', but coqui-tts is not installed; in an environment of its own: "
            + _install(release)
        )
    torchaudio = _version("torchaudio")
    if torchaudio is None:
        raise ConfigError(
            f"Coqui TTS needs torchaudio, which is not installed (torch is {torch}); " + _install(release)
        )
    if torchaudio.split(".")[:2] != release.split("."):
        raise ConfigError(
            f"torchaudio {torchaudio} does not fit torch {torch}: their versions must be equal; " + _install(release)
        )
    try:
        from TTS.api import TTS  # type: ignore[import-not-found]
    except Exception as error:  # a library of a wrong build fails in many ways
        raise ConfigError(
            f"Coqui TTS cannot be imported ({type(error).__name__}: {str(error).strip()}); " + _install(release)
        ) from error
    return TTS


def load(model: str) -> Any:  # TTS.api.TTS
    """A model by its folder or its name in Coqui's catalog, on the GPU where there is one."""
    if not model:
        raise ConfigError(
            "speaking.model is empty; the coqui engine wants a name ('tts_models/en/ljspeech/vits') or a folder"
        )
    library = coqui_tts()
    folder = Path(model).expanduser()
    checkpoint = _checkpoint(folder) if folder.is_dir() else None
    if checkpoint is None:
        _check_name(model)
    try:
        import torch

        if checkpoint is None:
            tts = library(model, progress_bar=False)
        else:
            tts = library(model_path=str(checkpoint), config_path=str(folder / "config.json"), progress_bar=False)
        if tts.synthesizer is not None:
            return tts.to("cuda" if torch.cuda.is_available() else "cpu")
    except Exception as error:  # whatever a checkpoint, a config or the network can do to the library
        raise ModelError(f"{model}: Coqui TTS cannot load it ({type(error).__name__}: {error})") from error
    raise ModelError(f"{model}: converts voices; a model that speaks is wanted")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _install(release: str) -> str:
    """What to run; torchaudio ends before torch does, so a newer torch has to step back."""
    if tuple(map(int, release.split("."))) > tuple(map(int, _NEWEST_TORCHAUDIO.split("."))):
        release = _NEWEST_TORCHAUDIO
    return f"pip install 'npc-realtime[coqui]' 'torch=={release}.*' 'torchaudio=={release}.*'"


def _checkpoint(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: has no config.json; a folder of a Coqui model has one, and a checkpoint beside it")
    if (folder / "vocab.json").is_file() and (folder / "model.pth").is_file():
        return folder  # XTTS finds its files by itself
    for pattern in _CHECKPOINTS:
        if found := sorted(path for path in folder.glob(pattern) if not path.name.startswith("speakers")):
            return found[0]
    raise ModelError(f"{folder}: has no checkpoint (model.pth) beside its config.json")


def _check_name(model: str) -> None:
    if model.startswith(("~", ".", "/")):
        raise ModelError(f"{model}: no such folder")
    if "xtts" in model and os.environ.get("COQUI_TOS_AGREED") != "1":  # the library would ask on standard input
        raise ConfigError(
            f"{model}: is under the Coqui Public Model License, which allows no commercial use "
            "(https://coqui.ai/cpml); set COQUI_TOS_AGREED=1 to agree and fetch it"
        )
