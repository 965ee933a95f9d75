"""Spectral frames → sound, in the timbre of a voice.

Hibari's model predicts, every 12.5 ms, a filter for the pulses of the glottis,
a free-phase spectrum (most of what is unvoiced), a faint noise and f0. The
plain voice is these parts as they are. Another voice moves f0 and warps the
envelopes along the frequency; the filter then takes the minimum phase of its
envelope, because a phase that belongs to one pitch does not fit another
(the excitation-and-envelope view of Morise's WORLD vocoder, 2016).
"""

from dataclasses import dataclass

import numpy as np
from hibari import dsp  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import median_filter

from npc.tts.voices import Timbre
from npc.turn import Samples

RATE_HZ: int = dsp.SR
HOP: int = dsp.HOP
"""Samples a frame."""

Spectrum = NDArray[np.float32]  # [601 bins of 20 Hz, frames]
ComplexSpectrum = NDArray[np.complex64]  # [601, frames]

_N_BINS = dsp.N_FFT // 2 + 1
_BIN_HZ = RATE_HZ / dsp.N_FFT
_UNVOICED_HZ = 40.0
_MEAN_F0_HZ = 195.0
"""Of the plain voice; intonation is measured from here, so that clauses of a reply fit together."""
_LOWEST_F0_HZ = 55.0
_LIFTER = (60, 84)
"""Samples of cepstrum that make the envelope, tapered between the two: 2.5 to 3.5 ms, less than a period at 280 Hz."""
_MOST_LOG = 7.0
_NOISE_LEVEL = 0.7
"""Noise of this amplitude under an envelope is as loud as pulses at 200 Hz under it."""
_PEAK = 0.97


@dataclass(frozen=True, slots=True)
class SpectralFrames:
    """What the model says about a stretch of speech; `f0_hz` is [frames], the rest [601, frames]."""

    harmonic_log: Spectrum
    harmonic_phase: Spectrum  # tanh of it, in half turns
    noise_log: Spectrum
    free_log: Spectrum
    free_phase: Spectrum  # radians
    f0_hz: NDArray[np.float32]


def render(frames: SpectralFrames, timbre: Timbre, rng: np.random.Generator) -> Samples:
    """Audio [frames * HOP] at RATE_HZ. Equal generators give equal audio."""
    if is_plain(timbre):
        parts = (frames.harmonic_log, frames.harmonic_phase, frames.noise_log, frames.free_log, frames.free_phase)
        audio = dsp.synth(*parts, frames.f0_hz, rng)
    else:
        audio = dsp.ola(_spectrum(frames, timbre, rng))
    audio = audio * np.float32(10 ** (timbre.gain_db / 20))
    return np.asarray(audio * np.float32(min(1.0, _PEAK / max(float(np.abs(audio).max()), _PEAK))), np.float32)


def is_plain(timbre: Timbre) -> bool:
    factors = (timbre.pitch, timbre.intonation, timbre.formant)
    return factors == (1.0, 1.0, 1.0) and not (timbre.breath or timbre.tilt_db or timbre.roughness)


def _spectrum(frames: SpectralFrames, timbre: Timbre, rng: np.random.Generator) -> ComplexSpectrum:
    f0_hz = _move_pitch(frames.f0_hz, timbre)
    envelope_log = _warp(_repair(frames.harmonic_log), timbre.formant)
    tract = _minimum_phase(envelope_log)

    voicing = np.sqrt((1 - timbre.breath) * _loudness_factor(frames.f0_hz, f0_hz))
    spectrum: ComplexSpectrum = tract * _source(f0_hz, timbre.roughness) * voicing
    if timbre.breath:
        breath = rng.standard_normal((_N_BINS, 2 * len(f0_hz)), dtype=np.float32).view(np.complex64)
        spectrum += breath * np.abs(tract) * (np.sqrt(timbre.breath) * _NOISE_LEVEL * _aspiration()[:, None])
    spectrum += _free(frames, envelope_log, timbre.formant)
    spectrum *= _tilt(timbre.tilt_db)[:, None]
    return spectrum


def _move_pitch(f0_hz: NDArray[np.float32], timbre: Timbre) -> NDArray[np.float32]:
    voiced = f0_hz > _UNVOICED_HZ
    octaves = np.log2(np.where(voiced, f0_hz, _MEAN_F0_HZ) / _MEAN_F0_HZ)
    moved = _MEAN_F0_HZ * timbre.pitch * 2 ** (octaves * timbre.intonation)
    return np.where(voiced, np.maximum(moved, _LOWEST_F0_HZ), 0).astype(np.float32)


def _loudness_factor(before_hz: NDArray[np.float32], after_hz: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power for each frame: a lower voice has more harmonics under the same envelope."""
    ratio = after_hz / np.maximum(before_hz, _UNVOICED_HZ)
    return np.where(after_hz > 0, ratio, 1).astype(np.float32)


def _source(f0_hz: NDArray[np.float32], roughness: float) -> ComplexSpectrum:
    pulses = dsp.pulses(f0_hz)
    if roughness:  # every second pulse is stronger, as in a creaky voice
        pulses = (pulses + roughness * dsp.pulses(f0_hz / 2, vthresh=_LOWEST_F0_HZ / 2)) / np.sqrt(1 + roughness**2)
    return np.asarray(dsp.stft(pulses, len(f0_hz)), np.complex64)


def _repair(log: Spectrum) -> Spectrum:
    """Single bins that the model leaves empty (other parts of it fill them) take their neighbours' level."""
    return np.asarray(median_filter(log, size=(5, 1), mode="nearest"), np.float32)


def _warp(values: NDArray[np.float32], formant: float) -> NDArray[np.float32]:
    """Move `values` [601, frames] along the frequency: what was at f comes to f * formant."""
    at = np.minimum(np.arange(_N_BINS) / formant, _N_BINS - 1)
    below = np.minimum(at.astype(np.intp), _N_BINS - 2)
    weight = (at - below).astype(np.float32)[:, None]
    return np.asarray(values[below] * (1 - weight) + values[below + 1] * weight, np.float32)


def _minimum_phase(log: Spectrum) -> ComplexSpectrum:
    """The filter with the smoothed envelope exp(log) whose energy comes as early as it can."""
    cepstrum = fft.irfft(np.minimum(log, _MOST_LOG), axis=0)  # [1200, frames]
    n, (flat, end) = np.arange(dsp.N_FFT), _LIFTER
    lifter = np.where(n < flat, 2.0, 1 + np.cos(np.pi * (n - flat) / (end - flat))) * (n < end)
    lifter[0] = 1.0
    cepstrum *= lifter.astype(np.float32)[:, None]
    return np.asarray(np.exp(fft.rfft(cepstrum, axis=0)), np.complex64)


def _free(frames: SpectralFrames, envelope_log: Spectrum, formant: float) -> ComplexSpectrum:
    """The free-phase part, warped. Where the voice is much stronger it is left out: it has the old pitch."""
    sign = np.where(np.arange(_N_BINS) % 2, -1, 1).astype(np.float32)[
        :, None
    ]  # counts the phase from the frame's middle
    level, phase = np.exp(np.minimum(frames.free_log, _MOST_LOG)), frames.free_phase
    real = _warp(level * np.cos(phase) * sign, formant) * sign
    imaginary = _warp(level * np.sin(phase) * sign, formant) * sign
    power = _warp(level * level, formant)
    voice_power = np.where(frames.f0_hz > _UNVOICED_HZ, np.exp(2 * envelope_log), 0)
    keep = power / (power + 0.25 * voice_power + 1e-9)
    # Interpolating between phases loses power; the level of the neighbours gives it back.
    keep *= np.sqrt(power / np.maximum(real * real + imaginary * imaginary, power / 16 + 1e-12))
    return np.asarray(keep * (real + 1j * imaginary), np.complex64)


def _aspiration() -> NDArray[np.float32]:
    """Breath is weak at low frequencies, where the open glottis lets the voice through."""
    f_khz = np.arange(_N_BINS) * _BIN_HZ / 1000
    return np.asarray(0.3 + 0.7 * f_khz / (f_khz + 1), np.float32)


def _tilt(db_per_octave: float) -> NDArray[np.float32]:
    octaves = np.clip(np.log2(np.maximum(np.arange(_N_BINS) * _BIN_HZ, 1.0) / 500), 0, 4)
    return np.asarray(10 ** (db_per_octave * octaves / 20), np.float32)
