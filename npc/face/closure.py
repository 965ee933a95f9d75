"""Do the lips meet when the sound says so? Measures a face against the audio that it speaks.

While p, b and m are held the lips are shut: the sound dips, but for a voice
or a nose that goes on below. The dip and the shut lips of the face should be
one interval. The dip is found otherwise than `npc.face.lips` finds edges: by
its depth, in another band and window.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc.face.lips import BILABIALS, is_between_open_sounds
from npc.face.visemes import VISEMES, viseme_weights
from npc.turn import Samples, Speech

_ABOVE_HZ, _WINDOW_MS = 700.0, 10.0
_AROUND_MS = 40.0
"""How far from the phoneme its closure is looked for."""
_LEAST_DIP_DB = 9.0
"""A shallower dip has no edges to measure: the sound was slurred."""
_SHUT = 0.5


@dataclass(frozen=True, slots=True)
class Closure:
    """One p, b or m; milliseconds from the clause's start."""

    symbol: str
    audio: tuple[float, float]
    face: tuple[float, float]

    @property
    def off_ms(self) -> float:
        """How far the face's closure lies behind the audio's, centre from centre."""
        return (sum(self.face) - sum(self.audio)) / 2

    @property
    def overlaps(self) -> bool:
        return self.face[0] < self.audio[1] and self.audio[0] < self.face[1]


def closures(speech: Speech, heard: Mapping[int, tuple[float, float]]) -> list[Closure]:
    """Those of a clause that have a dip of their own, for a face that is given what is `heard` of them."""
    per_ms = speech.rate_hz / 1000
    n_ms = int(len(speech.audio) / per_ms)
    weights = viseme_weights(speech.phonemes, np.arange(n_ms, dtype=np.float64) * per_ms, speech.rate_hz, heard)
    lips = weights[:, VISEMES.index("PP")]
    level_db = _energy_db(speech.audio, speech.rate_hz, _ABOVE_HZ, _WINDOW_MS)
    found: list[Closure] = []
    for n, phoneme in enumerate(speech.phonemes):
        if phoneme.symbol not in BILABIALS or not is_between_open_sounds(speech.phonemes, n):
            continue
        start, end = phoneme.start_sample / per_ms, phoneme.end_sample / per_ms
        low, high = max(0, int(start - _AROUND_MS)), int(end + _AROUND_MS)
        dip = _dip(level_db[low:high])
        shut = _run(lips[low:high] > _SHUT, int((start + end) / 2) - low)
        if dip is not None and shut is not None:
            found.append(Closure(phoneme.symbol, *((low + a, low + b) for a, b in (dip, shut))))
    return found


def _energy_db(audio: Samples, rate_hz: int, above_hz: float, window_ms: float) -> NDArray[np.float64]:
    """Decibels above `above_hz`, one value a millisecond, centred."""
    hop, length = rate_hz // 1000, int(rate_hz * window_ms / 1000)
    padded = np.pad(audio, (length // 2, length - length // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[:-1:hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(length).astype(np.float32), axis=1)) ** 2
    kernel = np.hanning(9) / np.hanning(9).sum()
    above = np.convolve(power[:, int(above_hz * length / rate_hz) :].sum(axis=1), kernel, mode="same")
    return np.asarray(10 * np.log10(above + 1e-9))


def _dip(level_db: NDArray[np.float64]) -> tuple[int, int] | None:
    """Where the level is below half way, in decibels, between the bottom and the lower of its shoulders."""
    if len(level_db) < 20:
        return None
    fifth = len(level_db) // 5
    bottom = fifth + int(np.argmin(level_db[fifth:-fifth]))
    shoulder = min(level_db[:bottom].max(initial=-90), level_db[bottom:].max(initial=-90))
    depth = shoulder - level_db[bottom]
    return _run(level_db < level_db[bottom] + depth / 2, bottom) if depth >= _LEAST_DIP_DB else None


def _run(is_true: NDArray[np.bool_], at: int) -> tuple[int, int] | None:
    """The run of True nearest to `at`."""
    where = np.flatnonzero(is_true)
    if not len(where):
        return None
    start = end = int(where[np.argmin(np.abs(where - at))])
    while start > 0 and is_true[start - 1]:
        start -= 1
    while end < len(is_true) and is_true[end]:
        end += 1
    return start, end
