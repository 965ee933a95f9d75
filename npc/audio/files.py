"""WAV, FLAC and whatever else libsndfile reads, as mono float32."""

from pathlib import Path

import numpy as np
import soundfile

from npc.audio.resample import resample
from npc.errors import InputError
from npc.turn import Samples


def read_audio(path: Path, rate_hz: int | None = None) -> tuple[Samples, int]:
    """Samples [n] with their rate, channels averaged; at `rate_hz` where one is given.

    Raises InputError when there is no such file or it holds no audio.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file", "no-file")
    try:
        channels, file_hz = soundfile.read(path, dtype="float32", always_2d=True)  # [n, channels]
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: is no audio file that can be read ({error.error_string})", "bad-audio") from error
    if not len(channels):
        raise InputError(f"{path}: holds no samples", "bad-audio")
    mono: Samples = channels.mean(axis=1, dtype=np.float32)
    return (mono, int(file_hz)) if rate_hz is None else (resample(mono, int(file_hz), rate_hz), rate_hz)


def write_audio(path: Path, samples: Samples, rate_hz: int) -> None:
    """Samples [n] as 16-bit WAV or FLAC, by the name's ending; what is louder than 1 is clipped."""
    kind = path.suffix.lower()
    if kind not in (".wav", ".flac"):
        raise InputError(f"{path}: cannot write '{kind}' files; use .wav or .flac", "bad-audio")
    try:
        soundfile.write(path, np.clip(samples, -1.0, 1.0), rate_hz, subtype="PCM_16")
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: cannot be written ({error.error_string})", "bad-audio") from error
