"""The voices that the built-in synthesiser offers, and how each differs from the plain one.

A voice is a change to the model's spectral frames before the inverse STFT:
pitch, formants, breath and tilt move on their own, and nothing is resampled.
This module imports nothing heavy: settings and characters are checked against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from npc.errors import ConfigError

if TYPE_CHECKING:  # npc.turn imports numpy
    from npc.turn import Voice


@dataclass(frozen=True, slots=True)
class Timbre:
    """How a voice is made from the plain one; all ones and zeros is the plain voice itself."""

    description: str = ""
    pitch: float = 1.0
    """Factor on the fundamental frequency."""
    intonation: float = 1.0
    """Factor on how far the pitch moves from its mean, in octaves: 0 is monotone."""
    formant: float = 1.0
    """Factor on the frequencies of the spectral envelope: below 1 a longer vocal tract."""
    breath: float = 0.0
    """Noise in place of voicing, as a share of the voiced power: 0 none, 1 a whisper."""
    tilt_db: float = 0.0
    """Decibels per octave above 500 Hz: negative is darker."""
    roughness: float = 0.0
    """Weight of a second pulse train an octave lower: a creak."""
    speed: float = 1.0
    gain_db: float = 0.0
    """Evens out loudness between voices."""


TIMBRES: Mapping[str, Timbre] = MappingProxyType(
    {
        "heart": Timbre("plain and friendly, a woman"),
        "gruff": Timbre(
            "low and rough, a man who works with his hands", 0.6, 0.9, 0.86, 0.04, 0.5, roughness=0.5, speed=0.97
        ),
        "deep": Timbre("very low and slow, a large man", 0.47, 0.85, 0.79, 0.03, -1.5, speed=0.93),
        "warm": Timbre("even and friendly, a man", 0.64, 1.0, 0.87, 0.04, -0.5),
        "lad": Timbre("light and quick, a young man", 0.73, 1.15, 0.91, 0.02, speed=1.05),
        "stern": Timbre("low, level and clear, a woman in command", 0.83, 0.7, 0.96, tilt_db=0.7, speed=0.97),
        "bright": Timbre("high and lively, a young woman", 1.22, 1.15, 1.08, tilt_db=1.0, speed=1.05, gain_db=-1.5),
        "elder": Timbre("thin and unhurried, an old woman", 1.08, 0.75, 1.05, 0.25, -0.7, roughness=0.15, speed=0.86),
        "whispery": Timbre("hushed, more breath than voice", 0.9, 0.9, 0.98, 0.9, 0.5, speed=0.94, gain_db=1.5),
        "sprite": Timbre("small and quick, hardly human", 1.55, 1.2, 1.2, speed=1.08, gain_db=-1.8),
    }
)

VOICES: Mapping[str, str] = MappingProxyType({name: timbre.description for name, timbre in TIMBRES.items()})

LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"speed": (0.5, 2.0), "pitch": (0.42, 2.2), "formant": (0.75, 1.35)}
)
"""Of a voice's own factor times the character's: beyond, speech is no longer understood or no longer human."""


def timbre_of(voice: "Voice") -> Timbre:
    """The timbre of the named voice with the character's own factors on top.

    Raises ConfigError when the name is unknown or a factor goes too far for this voice.
    """
    if voice.name not in TIMBRES:
        known = ", ".join(f"'{name}'" for name in TIMBRES)
        raise ConfigError(f"voice '{voice.name}' is unknown; have {known}")
    base = TIMBRES[voice.name]

    def within(factor: str, own: float, asked: float) -> float:
        least, most = LIMITS[factor]
        if not least <= own * asked <= most:
            raise ConfigError(
                f"voice '{voice.name}': {factor} is {asked:g}; with this voice it goes from "
                f"{least / own:.2f} to {most / own:.2f}"
            )
        return own * asked

    return replace(
        base,
        speed=within("speed", base.speed, voice.speed),
        pitch=within("pitch", base.pitch, voice.pitch),
        formant=within("formant", base.formant, voice.formant),
    )
