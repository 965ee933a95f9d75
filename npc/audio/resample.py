"""Changes the rate of audio: a stream with the least delay, or a whole signal at the highest quality.

For streams soxr holds back whole blocks: at its quality HQ 21 ms on average
and 37 ms at worst from 48 kHz, 63 and 115 ms from 8 kHz, all of it added to
every reply; its undelayed quality QQ has no filter against aliasing. The
linear-phase filter here (scipy's firwin and upfirdn) is flat up to 0.875 of
the band, 70 dB down from 1.125 of it on, and holds back 1.1 to 2.2 ms.
"""

from functools import lru_cache
from math import gcd

import numpy as np
import soxr
from scipy.signal import firwin, kaiserord, upfirdn

from npc.errors import InputError
from npc.turn import Samples

STOPBAND_DB = 70.0
TRANSITION = 0.25
"""Width of the filter's slope as a part of the narrower band."""

_NOTHING = np.empty(0, np.float32)


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """A whole signal, [n] at `from_hz` → [n · to_hz / from_hz], by soxr's quality HQ."""
    if from_hz == to_hz:
        return samples
    resampled: Samples = soxr.resample(samples, from_hz, to_hz)
    return resampled


class StreamResampler:
    """Resamples a mono stream chunk by chunk; how it is cut into chunks does not change the output.

    Output sample k stands for the instant k / `to_hz` of the input: the
    filter's delay is taken out, so that sample counts remain times.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if from_hz <= 0 or to_hz <= 0:
            raise InputError(f"cannot resample from {from_hz} to {to_hz} Hz; rates are above 0", "bad-rate")
        common = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        self._filter, self._half = _lowpass(self._up, self._down)
        self._recent = _NOTHING
        self._start = 0  # input position of recent[0], a multiple of `down`: there an output sample falls
        self._n_out = 0

    def push(self, samples: Samples) -> Samples:
        """[n] → the output samples that can be known by now."""
        if self._up == self._down:
            return samples
        self._recent = np.concatenate((self._recent, samples))
        # Output k reaches to input (k · down + half) / up.
        return self._emit(((self._start + len(self._recent) - 1) * self._up - self._half) // self._down + 1)

    def flush(self) -> Samples:
        """What is left, as if silence followed. The stream is over then."""
        if self._up == self._down:
            return _NOTHING
        n_in = self._start + len(self._recent)
        self._recent = np.pad(self._recent, (0, self._half // self._up + 1))
        return self._emit(-(-n_in * self._up // self._down))

    def _emit(self, n_out: int) -> Samples:
        """Output samples up to the `n_out`th; then forget the input that no later one needs."""
        if n_out <= self._n_out:
            return _NOTHING
        # upfirdn's sample j is output j + first; the filter is padded to a delay of a whole number of output samples.
        first = self._start // self._down * self._up - (len(self._filter) - self._half - 1) // self._down
        output: Samples = upfirdn(self._filter, self._recent, self._up, self._down)[
            self._n_out - first : n_out - first
        ].copy()
        self._n_out = n_out
        oldest = max((n_out * self._down - self._half) // self._up, 0) // self._down * self._down
        self._recent = self._recent[oldest - self._start :]
        self._start = oldest
        return output


@lru_cache
def _lowpass(up: int, down: int) -> tuple[Samples, int]:
    """Taps at the common rate, and how many there are on either side of the middle one.

    Zeros before the taps make the delay up to the middle a multiple of `down`.
    """
    if up == down:
        return np.ones(1, np.float32), 0
    edge = 1 / max(up, down)  # of the narrower band, in Nyquist of the common rate
    n_taps, beta = kaiserord(STOPBAND_DB, TRANSITION * edge)
    half = n_taps // 2
    taps = firwin(2 * half + 1, edge, window=("kaiser", beta)) * up
    return np.pad(taps, (-half % down, 0)).astype(np.float32), half
