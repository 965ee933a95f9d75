"""Sounds of a player's room that are no words: keys, breaths, coughs, noise that comes and goes, music.

Made, not recorded; each [n] at 16 kHz with its loudest sample at 1.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from npc.turn import HEARING_RATE_HZ, Samples

_Chance = np.random.Generator


def keys(seconds: float, chance: _Chance) -> Samples:
    """Typing: a click when a key goes down, a softer one when it comes up, five keys a second."""
    made = _silence(seconds)
    for at_s in _times(seconds, chance, 0.05, 0.35):
        loudness = chance.uniform(0.3, 1)
        for delay_s, share in ((0.0, 1.0), (chance.uniform(0.06, 0.12), 0.5)):
            n = int(chance.uniform(0.01, 0.06) * HEARING_RATE_HZ)
            tone = np.sin(2 * np.pi * chance.uniform(800, 5000) * np.arange(n) / HEARING_RATE_HZ)
            click = (tone + 0.6 * chance.standard_normal(n)) * np.exp(-5 * np.arange(n) / n)
            _add(made, click * share * loudness, at_s + delay_s)
    return _scaled(made)


def breaths(seconds: float, chance: _Chance) -> Samples:
    """Close to the microphone, every one or two seconds."""
    made = _silence(seconds)
    for at_s in _times(seconds, chance, 1.2, 2.4):
        n = int(chance.uniform(0.3, 0.9) * HEARING_RATE_HZ)
        swell = np.sin(np.pi * np.arange(n) / n) ** chance.uniform(0.7, 2)
        _add(made, _band(n, chance.uniform(200, 600), chance.uniform(2000, 5000), chance) * swell, at_s)
    return _scaled(made)


def coughs(seconds: float, chance: _Chance) -> Samples:
    """A burst, a rush of air, and sometimes the voice at its end, through a mouth."""
    made = _silence(seconds)
    t = np.arange(int(0.35 * HEARING_RATE_HZ)) / HEARING_RATE_HZ
    for at_s in _times(seconds, chance, 1.0, 2.2):
        air = 1.5 * np.exp(-t / 0.02) + 0.7 * np.exp(-(((t - 0.12) / 0.07) ** 2))
        voice = np.sign(np.sin(2 * np.pi * chance.uniform(120, 250) * t)) * np.exp(-(((t - 0.25) / 0.05) ** 2))
        cough = chance.standard_normal(len(t)) * air + chance.uniform(0, 0.6) * voice
        for formant_hz, width_hz in ((650, 200), (1500, 300), (2650, 400)):
            centre_hz, radius = formant_hz * chance.uniform(0.85, 1.15), np.exp(-np.pi * width_hz / HEARING_RATE_HZ)
            poles = [1, -2 * radius * np.cos(2 * np.pi * centre_hz / HEARING_RATE_HZ), radius**2]
            cough = 0.4 * cough + 2 * lfilter([1 - radius], poles, cough)
        _add(made, cough / np.abs(cough).max() * chance.uniform(0.5, 1), at_s)
    return _scaled(made)


def gusts(seconds: float, chance: _Chance) -> Samples:
    """Noise that falls by 3 dB an octave and changes its level at once, every half second or later."""
    made = _silence(seconds)
    for at_s in _times(seconds, chance, 0.5, 1.5):
        start = int(at_s * HEARING_RATE_HZ)
        made[start:] = _band(len(made) - start, 30, 6000, chance, slope=0.5) * chance.choice([0, 0.1, 0.3, 1])
    return _scaled(made)


def music(seconds: float, chance: _Chance) -> Samples:
    """Plucked chords with a drum on every beat."""
    t = np.arange(int(seconds * HEARING_RATE_HZ)) / HEARING_RATE_HZ
    beat = t % 0.5
    root_hz = np.array([220.0, 261.6, 196.0, 293.7])[(t // 2).astype(int) % 4]
    chord = sum(np.sin(2 * np.pi * root_hz * ratio * t) / k for ratio in (1, 1.25, 1.5) for k in (1, 2, 3))
    return _scaled(chord * np.exp(-3 * beat) + chance.standard_normal(len(t)) * np.exp(-40 * beat))


SOUNDS: Final[Mapping[str, Callable[[float, _Chance], Samples]]] = {
    "keys": keys,
    "breaths": breaths,
    "coughs": coughs,
    "gusts of noise": gusts,
    "music": music,
}


def room_noise(n: int, chance: _Chance) -> Samples:
    """[n] of noise that falls by 3 dB an octave, of mean square 1."""
    return _band(n, 0, HEARING_RATE_HZ, chance, slope=0.5).astype(np.float32)


def _times(seconds: float, chance: _Chance, shortest_s: float, longest_s: float) -> list[float]:
    times, at_s = [], 0.3
    while at_s < seconds - 1:
        times.append(at_s)
        at_s += chance.uniform(shortest_s, longest_s)
    return times


def _band(n: int, low_hz: float, high_hz: float, chance: _Chance, slope: float = 0.0) -> NDArray[np.floating]:
    """Noise of mean square 1 between two frequencies, its amplitude falling with the frequency to the `slope`."""
    hz = np.fft.rfftfreq(n, 1 / HEARING_RATE_HZ)
    shape = 1 / (1 + np.exp((low_hz - hz) / 100)) / (1 + np.exp((hz - high_hz) / 200)) / np.maximum(hz, 20) ** slope
    made = np.fft.irfft(np.fft.rfft(chance.standard_normal(n)) * shape, n)
    return np.asarray(made / np.sqrt(np.mean(np.square(made))), np.float32)


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * HEARING_RATE_HZ), np.float32)


def _add(made: Samples, sound: NDArray[np.floating], at_s: float) -> None:
    part = made[int(at_s * HEARING_RATE_HZ) :][: len(sound)]
    part += sound[: len(part)].astype(np.float32)


def _scaled(made: NDArray[np.floating]) -> Samples:
    scaled: Samples = (made / np.abs(made).max()).astype(np.float32)
    return scaled
