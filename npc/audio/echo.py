"""Takes the character's own voice out of the microphone.

The server knows what it plays. An adaptive filter learns how that comes back: the delay
of network, client and air, the room and its colour, all within `REACH_MS`. What it
explains is subtracted; what it may explain, as it is not sure of the room yet, is taken
off by a Wiener gain, so that the first words of the first reply do not interrupt it. How
loud the echo can be at all is known sooner than the filter: no part of the room returns
more than all that the microphone heard when something loud was due from that part.

A partitioned frequency-domain Kalman filter (Enzner and Vary 2006; Kuech, Mabande and
Enzner 2014): it learns fast from echo alone and by itself hardly at all while the player
speaks. About 0.8 ms a frame, none while nothing plays.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from npc.audio.framer import FRAME_SAMPLES
from npc.audio.resample import StreamResampler
from npc.errors import InputError
from npc.turn import HEARING_RATE_HZ, Samples

REACH_MS: Final = 640
"""From the sample that a reply's audio is said to be played at, to the last of its reverberation."""
N_PARTS: Final = REACH_MS * HEARING_RATE_HZ // 1000 // FRAME_SAMPLES
JITTER_PARTS: Final = 5
"""32 ms each. When one part was allowed for, 25 of 30 replies that were played up to 120 ms sooner or later than the
one before interrupted themselves; with five one of 50 did (echo at -20 dB)."""
FORGETTING: Final = 0.998
"""Of the room, a frame: people move."""
PRIOR_DB: Final = -3.0
"""The power of the echo beside what is played, as long as nothing was learnt."""
BAND_BINS: Final = 16
"""250 Hz: what the room returns at most is reckoned in bands of this width."""
MOST: Final = 3.0
"""A part of the room returns at most so many times what it is seen to. A frame is half of the transform, which is two;
over simulated rooms one band in a hundred then returns 7 dB more, and the sum of all never any."""
MOST_RISE_DB: Final = 0.02
"""A frame: rooms change."""
LEAST_HEARD: Final = 5e-4
"""Of a bin of a frame, -60 dB in all: what is quieter says nothing of the room, as the microphone may be muted."""
MOST_REPLY: Final = 2.0
"""Another reply may be so many times as loud as the last."""
NEAR_SMOOTHING: Final = 0.6
LEAST_POWER: Final = 1e-7
"""Of a bin of a frame: the microphone's own noise. Keeps the filter still in silence."""
DISTRUST: Final = 4.0
"""What of the microphone may be echo is this many times what the filter reckons: rooms are not linear, clocks drift."""
SPREAD_BINS: Final = 9
"""Echo that is reckoned with at one frequency (31 Hz a bin) may turn up at its neighbours."""
LINGER: Final = 0.8
"""Of the echo reckoned with in the frame before, so much may turn up in this one."""
NOISE_RISE_DB: Final = 0.05
"""A frame; the level of the room's noise falls at once, and rises as slowly as that."""
ABOVE_NOISE: Final = 4.0
"""What is not this many times as loud as the noise is nobody's."""
OWN: Final = 0.75
SURELY_OWN: Final = 0.85
OWN_FRAMES: Final = 4
"""By tests/audio: with echo 12 dB or more below a voice, no reply takes itself for somebody, and nobody is missed.
Single frames of echo reach 0.82; two in a row are never both above 0.75."""
BURST: Final = 2.0
"""The share over the last frames is at most this many times that of the newest."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """`samples` [512] without the echo; `own` is the share of the sound in the last frames that is none, 0 to 1."""

    samples: Samples
    own: float

    @property
    def is_own(self) -> bool:
        """Somebody else than the character is heard."""
        return self.own >= OWN

    @property
    def is_surely_own(self) -> bool:
        """So much so that one frame says it."""
        return self.own >= SURELY_OWN


class EchoGuard:
    """Of one microphone. Positions count the microphone's samples at 16 kHz.

    `clean` may run on another thread than the methods that tell what is played.
    """

    def __init__(self) -> None:
        n_bins = FRAME_SAMPLES + 1
        self._lock = threading.Lock()  # of what is played: the next five
        self._played = np.empty(0, np.float32)  # at 16 kHz
        self._first = 0  # the position of played[0]
        self._held: Samples | None = None  # what is played on later
        self._resampler: StreamResampler | None = None
        self._rate_hz = 0
        self._n_astray = 0  # replies that came anew, since the last frame
        self._spectra = np.zeros((N_PARTS, n_bins), np.complex64)  # newest first
        self._last_block = np.zeros(FRAME_SAMPLES, np.float32)
        self._room: NDArray[np.complex64] = np.zeros((N_PARTS, n_bins), np.complex64)
        self._doubt: NDArray[np.floating] = np.full((N_PARTS, n_bins), 10 ** (PRIOR_DB / 10) / N_PARTS, np.float32)
        self._near: NDArray[np.floating] = np.full(n_bins, LEAST_POWER, np.float32)
        self._most: NDArray[np.floating] = np.full((N_PARTS, len(_BANDS)), np.inf)  # power that a part of it returns
        self._n_cut = 0  # frames in which what was played may not have been heard
        self._maybe = np.zeros(n_bins, np.float32)  # power of what may be echo
        self._noise = 1.0  # power of a frame
        self._shares: deque[tuple[float, float]] = deque(maxlen=OWN_FRAMES)  # own power, all power
        self._n_silent = N_PARTS  # frames since something was played

    @property
    def is_at_work(self) -> bool:
        """Something is played, or still rings: to clean a frame takes a while."""
        return len(self._played) > 0 or self._n_silent <= N_PARTS

    @property
    def end_sample(self) -> int:
        """Where what is known to be played ends."""
        return self._first + len(self._played)

    def play(self, audio: Samples, rate_hz: int, at_sample: int) -> None:
        """The next part of a reply, [n] at `rate_hz`: behind the part before, or at `at_sample` if that is later."""
        if audio.ndim != 1:
            raise InputError(f"audio of shape {audio.shape}; the echo guard takes [n]", "bad-audio")
        if not len(audio):
            return
        with self._lock:
            is_behind_a_gap = self._held is None and at_sample > self.end_sample
            if self._resampler is None or rate_hz != self._rate_hz or is_behind_a_gap:
                self._resampler, self._rate_hz = StreamResampler(rate_hz, HEARING_RATE_HZ), rate_hz
            heard = self._resampler.push(audio)
            if self._held is not None:
                self._held = np.concatenate((self._held, heard))
            else:
                self._append(heard, at_sample)

    def hold(self, at_sample: int) -> None:
        """Playback stands still from `at_sample` on, until `play_on` or `stop`."""
        with self._lock:
            if self._held is None:
                self._n_cut = N_PARTS
                kept = max(at_sample - self._first, 0)
                self._played, self._held = self._played[:kept], self._played[kept:]

    def play_on(self, at_sample: int) -> None:
        """What was held is played from `at_sample` on."""
        with self._lock:
            if self._held is not None:
                held, self._held = self._held, None
                self._append(held, at_sample)

    def stop(self, at_sample: int) -> None:
        """What was to be played from `at_sample` on is not."""
        with self._lock:
            if at_sample < self.end_sample:
                self._n_cut = N_PARTS
            self._played = self._played[: max(at_sample - self._first, 0)]
            self._held = self._resampler = None

    def skip(self, n_samples: int) -> None:
        """The microphone was shut for so long, while playback went on: its next frame hears what is played then.

        Not while a frame is being cleaned.
        """
        with self._lock:
            self._first -= n_samples
            self._n_astray += 1
        self._spectra[:] = 0
        self._last_block[:] = 0

    def clean(self, frame: Samples, first_sample: int) -> Cleaned:
        """The next frame of the microphone, [512]; frames come in order, none is left out while something plays."""
        with self._lock:
            block = self._take(first_sample)
            n_astray, self._n_astray = self._n_astray, 0
            is_cut, self._n_cut = self._n_cut > 0, max(self._n_cut - 1, 0)
        for _ in range(n_astray):
            self._forget_phase()
        self._n_silent = 0 if block.any() else self._n_silent + 1
        if self._n_silent > N_PARTS:
            return Cleaned(frame, 1.0)
        self._spectra = np.roll(self._spectra, 1, axis=0)
        self._spectra[0] = np.fft.rfft(np.concatenate((self._last_block, block)))
        self._last_block = block
        power = np.square(np.abs(self._spectra))
        if not is_cut:
            self._limit(frame, power)
        return self._filter(frame, power)

    def _limit(self, frame: Samples, power: NDArray[np.floating]) -> None:
        """Of the room and of the doubt, [N_PARTS, bins], leave no more than can be by all that this frame holds."""
        heard = np.add.reduceat(np.maximum(_power(frame), LEAST_HEARD), _BANDS)  # [bands]
        loud = np.add.reduceat(power, _BANDS, axis=1)  # [N_PARTS, bands]
        # A part's transform holds more than is due in this frame: only what lasts is surely in it.
        lasting = np.minimum(loud, np.minimum(loud[_YOUNGER], loud[_OLDER]))
        seen = MOST * heard / np.maximum(lasting, LEAST_POWER)
        self._most = np.minimum(self._most * 10 ** (MOST_RISE_DB / 10), seen)
        self._doubt = np.minimum(self._doubt, np.repeat(self._most, _BAND_SIZES, axis=1)).astype(np.float32)
        room = np.add.reduceat(np.square(np.abs(self._room)), _BANDS, axis=1) / _BAND_SIZES
        gain = np.sqrt(np.minimum(self._most / np.maximum(room, _LEAST_ROOM), 1))
        self._room = (self._room * np.repeat(gain, _BAND_SIZES, axis=1)).astype(np.complex64)

    def _filter(self, frame: Samples, power: NDArray[np.floating]) -> Cleaned:
        x, half = self._spectra, FRAME_SAMPLES
        self._doubt = FORGETTING**2 * self._doubt + (1 - FORGETTING**2) * np.square(np.abs(self._room))
        echo = np.fft.irfft((x * self._room).sum(axis=0))[half:]
        rest = frame - echo.astype(np.float32)
        error = np.fft.rfft(np.concatenate((np.zeros(half, np.float32), rest)))
        error_power = np.square(np.abs(error))
        # A frame is half of the transform: half of the power that the filter is unsure of is in it.
        unsure = 0.5 * (power * self._doubt).sum(axis=0)
        self._near = NEAR_SMOOTHING * self._near + (1 - NEAR_SMOOTHING) * error_power
        step = self._doubt / (unsure + self._near + LEAST_POWER)  # [N_PARTS, bins]
        self._room = FORGETTING * self._room + _causal(step * np.conj(x) * error)
        self._doubt = np.maximum(self._doubt * (1 - 0.5 * step * power), 0).astype(np.float32)
        # How loud the echo is, is known better than its phase: a filter gone astray must not pass for a voice.
        reckoned = unsure + np.square(np.abs(np.fft.rfft(np.concatenate((np.zeros(half), echo)))))
        self._maybe = np.maximum(np.convolve(reckoned, _SPREAD, "same"), LINGER * self._maybe).astype(np.float32)
        own_power = np.maximum(error_power - DISTRUST * self._maybe, 0)
        gain = own_power / (own_power + DISTRUST * self._maybe + LEAST_POWER)
        clean = np.fft.irfft(gain * error)[half:].astype(np.float32)
        return Cleaned(clean, self._share(frame, clean))

    def _share(self, frame: Samples, clean: Samples) -> float:
        power = float(np.square(frame).sum()) + LEAST_POWER
        self._noise = min(self._noise * 10 ** (NOISE_RISE_DB / 10), power)
        is_noise = power < ABOVE_NOISE * self._noise
        self._shares.append((0.0 if is_noise else min(float(np.square(clean).sum()), power), power))
        own, whole = np.sum(self._shares, axis=0)
        # A burst that the filter missed is over when its frame is: it must not last for all the others.
        return min(float(own / whole), BURST * self._shares[-1][0] / power)

    def _append(self, heard: Samples, at_sample: int) -> None:
        if at_sample > self.end_sample:
            self._n_astray += 1
        if not len(self._played):
            self._first = at_sample
        gap = max(at_sample - self.end_sample, 0)
        self._played = np.concatenate((self._played, np.zeros(gap, np.float32), heard))

    def _forget_phase(self) -> None:
        """Another reply may come sooner or later than the last: of the room, keep how loud it is around each delay."""
        loudness = np.square(np.abs(self._room)) + self._doubt
        mean = uniform_filter1d(loudness, 2 * JITTER_PARTS + 1, axis=0, mode="nearest")
        loudest = maximum_filter1d(loudness, 2 * JITTER_PARTS + 1, axis=0, mode="nearest")
        self._doubt = np.maximum(mean, 0.5 * loudest).astype(np.float32)
        self._room = np.zeros_like(self._room)
        self._most = MOST_REPLY * maximum_filter1d(self._most, 2 * JITTER_PARTS + 1, axis=0, mode="nearest")

    def _take(self, first_sample: int) -> Samples:
        """What is played during the frame at `first_sample`; forgets what was played before."""
        lo = first_sample - self._first
        block = np.zeros(FRAME_SAMPLES, np.float32)
        start, end = max(lo, 0), min(lo + FRAME_SAMPLES, len(self._played))
        if start < end:
            block[start - lo : end - lo] = self._played[start:end]
        if lo > 0:
            self._played = self._played[lo:]
            self._first += lo
        return block


_SPREAD = np.full(SPREAD_BINS, 1 / SPREAD_BINS)
_BANDS = np.arange(0, FRAME_SAMPLES + 1, BAND_BINS)
_BAND_SIZES = np.diff(_BANDS, append=FRAME_SAMPLES + 1)
_YOUNGER = np.maximum(np.arange(N_PARTS) - 1, 0)
_OLDER = np.minimum(np.arange(N_PARTS) + 1, N_PARTS - 1)
_LEAST_ROOM = 1e-12


def _power(frame: Samples) -> NDArray[np.floating]:
    """Of a frame's second half of the transform, [bins]."""
    return np.square(np.abs(np.fft.rfft(np.concatenate((np.zeros(FRAME_SAMPLES, np.float32), frame)))))


def _causal(gradient: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
    """Without the half that wraps around, [N_PARTS, bins]: a part of the room is as long as a frame."""
    taps = np.fft.irfft(gradient, axis=1)
    taps[:, FRAME_SAMPLES:] = 0
    return np.fft.rfft(taps, axis=1).astype(np.complex64)
