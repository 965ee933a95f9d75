"""How the player speaks: pitch, loudness and pace, against how this player usually speaks.

A loud voice is only loud for somebody who is mostly quiet, and a high one for
somebody who is mostly low; so each utterance is measured, and judged by a
baseline that moves slowly with it. Pure numpy; 2 to 5 ms an utterance.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc.turn import HEARING_RATE_HZ, Samples

_FRAME, _HOP = 640, 320
"""40 ms every 20 ms at 16 kHz."""
_F0_HZ = (70, 420)
_VOICED = 0.45
"""Height of the autocorrelation's peak in a voiced frame."""
_AUDIBLE_DB = -30.0
"""Against the loudest frame."""
_MAX_S = 6.0
"""The last seconds of an utterance tell its mood."""
_LEAST_S = 0.3

_SPREAD = (2.5, 4.0, 1.0)
"""How far an ordinary speaker strays from the own mean: semitones, decibels, syllables a second."""
_MEMORY = 12
"""Utterances that the baseline averages over."""
_PRIOR = 2.0
"""Utterances that the first guess of a baseline weighs as."""


@dataclass(frozen=True, slots=True)
class Prosody:
    """Of one utterance."""

    f0_hz: float
    """Median of the voiced frames; 0 where nothing was voiced."""
    level_db: float
    """Of the audible frames, against full scale."""
    syllables_per_s: float
    seconds: float


def measure(audio: Samples) -> Prosody | None:
    """The prosody of `audio`, [n] at 16 kHz; None where too little is audible to tell."""
    audio = np.asarray(audio[-int(_MAX_S * HEARING_RATE_HZ) :], np.float32)
    if len(audio) < _FRAME + _HOP:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(audio, _FRAME)[::_HOP]  # [frames, 640]
    level_db = 10 * np.log10((frames**2).mean(axis=1) + 1e-10)
    is_audible = level_db > max(level_db.max() + _AUDIBLE_DB, -70)
    seconds = float(is_audible.sum() * _HOP / HEARING_RATE_HZ)
    if seconds < _LEAST_S:
        return None
    audible = frames[is_audible]
    loudness = float(10 * np.log10((audible**2).mean() + 1e-10))
    return Prosody(_pitch(audible[::3]), loudness, _syllables(level_db) / seconds, seconds)


def _pitch(frames: NDArray[np.float32]) -> float:
    """Median f0 by autocorrelation, [frames, 640] → Hz."""
    centred = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(_FRAME).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(centred, 2 * _FRAME, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)[:, :_FRAME]
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(_FRAME), 2 * _FRAME)) ** 2)[:_FRAME]
    correlation = correlation / (correlation[:, :1] + 1e-9) / (window / window[0] + 1e-3)
    low, high = HEARING_RATE_HZ // _F0_HZ[1], HEARING_RATE_HZ // _F0_HZ[0]
    lags = correlation[:, low:high]
    voiced = lags.max(axis=1) > _VOICED
    if not voiced.any():
        return 0.0
    # The first peak that is nearly as high as the highest: a later one is an octave below.
    strong = lags[voiced] > 0.9 * lags[voiced].max(axis=1, keepdims=True)
    return float(np.median(HEARING_RATE_HZ / (low + strong.argmax(axis=1))))


def _syllables(level_db: NDArray[np.float32]) -> int:
    """Peaks of the loudness that stand out by 2 dB, as de Jong and Wempe (2009) count syllables."""
    smooth = np.convolve(level_db, np.array([0.25, 0.5, 0.25]), mode="same")
    floor = float(smooth.max()) - 25
    n, is_rising, extreme = 0, False, float(smooth[0])
    for value in smooth.tolist():
        if is_rising:
            extreme = max(extreme, value)
            if value < extreme - 2:
                n += extreme > floor
                is_rising, extreme = False, value
        else:
            extreme = min(extreme, value)
            if value > extreme + 2:
                is_rising, extreme = True, value
    n += is_rising and extreme > floor
    return max(n, 1)


@dataclass(frozen=True, slots=True)
class Baseline:
    """How a player usually speaks; JSON by its fields."""

    pitch: float = 0.0
    """Semitones over 100 Hz."""
    level_db: float = 0.0
    syllables_per_s: float = 0.0
    n: float = 0.0

    def after(self, heard: Prosody) -> "Baseline":
        """The baseline with one more utterance; what is unvoiced tells nothing of pitch."""
        n = min(self.n, _MEMORY - 1) + 1
        pitch = _semitones(heard.f0_hz) if heard.f0_hz else self.pitch
        return Baseline(
            self.pitch + (pitch - self.pitch) / n,
            self.level_db + (heard.level_db - self.level_db) / n,
            self.syllables_per_s + (heard.syllables_per_s - self.syllables_per_s) / n,
            n,
        )

    def arousal(self, heard: Prosody) -> float:
        """-1 (subdued) to 1 (agitated): higher, louder and faster than usual. The first utterance is usual.

        Level weighs most: it is what listeners and models go by (Eyben et al., 2016).
        """
        if self.n == 0:
            return 0.0
        semitones = _semitones(heard.f0_hz) - self.pitch if heard.f0_hz else 0.0
        pitch = semitones / _SPREAD[0]
        level = (heard.level_db - self.level_db) / _SPREAD[1]
        pace = (heard.syllables_per_s - self.syllables_per_s) / _SPREAD[2]
        trust = self.n / (self.n + _PRIOR)
        return math.tanh(0.5 * trust * (0.35 * pitch + 0.5 * level + 0.15 * pace))


def _semitones(f0_hz: float) -> float:
    return 12 * math.log2(max(f0_hz, 1.0) / 100)
