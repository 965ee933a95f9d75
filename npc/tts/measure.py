"""What a voice sounds like, in numbers: how high it is, how bright, and what shape its spectrum has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc.turn import Samples

_FRAME_MS, _HOP_MS = 50, 25
_LOWEST_HZ, _HIGHEST_HZ = 55, 450
_QUIET_POWER = 1e-5
_PERIODICITY = 0.5
"""Autocorrelation of a frame at its period, below which it is not voiced."""
_N_BANDS, _TOP_HZ = 32, 8000.0


@dataclass(frozen=True, slots=True)
class Portrait:
    f0_hz: float
    """Median of the voiced frames; 0 where there is none."""
    centroid_hz: float
    bands_db: tuple[float, ...]
    """The long-term spectrum in mel bands up to 8 kHz, against its own mean."""

    def semitones_from(self, other: "Portrait") -> float:
        return 12 * math.log2(self.f0_hz / other.f0_hz) if self.f0_hz and other.f0_hz else 0.0

    def timbre_from(self, other: "Portrait") -> float:
        """Root mean square difference of the long-term spectra in dB: formants, tilt and breath, but not loudness."""
        return float(np.sqrt(np.mean(np.subtract(self.bands_db, other.bands_db) ** 2)))


def portrait(recordings: Sequence[Samples], rate_hz: int) -> Portrait:
    """Of one voice; silent frames do not count."""
    size, hop = rate_hz * _FRAME_MS // 1000, rate_hz * _HOP_MS // 1000
    frames = np.concatenate([_frames(audio, size, hop) for audio in recordings])
    frames = frames[(frames**2).mean(axis=1) > _QUIET_POWER] * np.hanning(size)
    if not len(frames):
        return Portrait(0.0, 0.0, (0.0,) * _N_BANDS)
    power = np.abs(np.fft.rfft(frames, 2 * size)) ** 2  # [frames, bins]
    hz = np.fft.rfftfreq(2 * size, 1 / rate_hz).astype(np.float64)
    pitches = [pitch for row in power if (pitch := _pitch(row, size, rate_hz))]
    mean = power.mean(axis=0)
    bands = np.log10(_mel_bands(hz) @ mean + 1e-12) * 10
    return Portrait(
        float(np.median(pitches)) if pitches else 0.0,
        float(mean @ hz / mean.sum()),
        tuple((bands - bands.mean()).tolist()),
    )


def _frames(audio: Samples, size: int, hop: int) -> NDArray[np.float32]:
    if len(audio) < size:
        return np.zeros((0, size), np.float32)
    return np.lib.stride_tricks.sliding_window_view(audio, size)[::hop]


def _pitch(power: NDArray[np.float64], size: int, rate_hz: int) -> float | None:
    """The shortest period whose autocorrelation is about as high as any: longer ones are its multiples."""
    correlation = np.fft.irfft(power)[:size] / np.correlate(np.hanning(size), np.hanning(size), "full")[
        size - 1 :
    ].clip(1)
    lags = correlation[rate_hz // _HIGHEST_HZ : rate_hz // _LOWEST_HZ]
    best = lags.max()
    if best < _PERIODICITY * correlation[0]:
        return None
    is_peak = (lags[1:-1] >= lags[:-2]) & (lags[1:-1] >= lags[2:]) & (lags[1:-1] > 0.85 * best)
    first = int(np.argmax(is_peak)) + 1 if is_peak.any() else int(lags.argmax())
    return rate_hz / (first + rate_hz // _HIGHEST_HZ)


def _mel_bands(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triangular filters [bands, bins], evenly spaced in mel."""
    mel = 2595 * np.log10(1 + hz / 700)
    edges = np.linspace(0, 2595 * np.log10(1 + _TOP_HZ / 700), _N_BANDS + 2)
    rising = (mel - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - mel) / (edges[2:] - edges[1:-1])[:, None]
    filters: NDArray[np.float64] = np.clip(np.minimum(rising, falling), 0, None)
    return filters
