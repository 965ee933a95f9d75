"""Spectral frames → sound, in the timbre of a voice.

Hibari's model predicts, every 12.5 ms, a filter for the pulses of the glottis,
a noise envelope, a free-phase spectrum (most of what is unvoiced) and f0.
"""

from dataclasses import dataclass

import numpy as np
from hibari import dsp  # type: ignore[import-untyped]
from numpy.typing import NDArray

from npc.tts.voices import Timbre
from npc.turn import Samples

RATE_HZ: int = dsp.SR
HOP: int = dsp.HOP
"""Samples a frame."""

Spectrum = NDArray[np.float32]  # [601 bins of 20 Hz, frames]


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
    return np.asarray(
        dsp.synth(
            frames.harmonic_log,
            frames.harmonic_phase,
            frames.noise_log,
            frames.free_log,
            frames.free_phase,
            frames.f0_hz,
            rng,
        ),
        np.float32,
    )
