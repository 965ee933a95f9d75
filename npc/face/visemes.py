"""Phonemes as mouth shapes: the fifteen visemes of Oculus Lipsync, with weights that run into each other.

A mouth is never at one sound: each phoneme pulls towards its shape with a
strength that rises before it and fades behind it, and shapes are the average
of what pulls (Cohen and Massaro, 1993). Lips that must meet (p, b, m) pull
hardest and let nothing through; an h takes the shape of its neighbours.
https://developer.oculus.com/documentation/unity/audio-ovrlipsync-viseme-reference/
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc.face.lips import NONE_HEARD, heard_closures
from npc.turn import Phoneme, Speech

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
_INDEX = {name: n for n, name in enumerate(VISEMES)}

Weights = NDArray[np.float32]  # [frames, 15], each row sums to 1

_PHONEMES = (
    dict.fromkeys("pbmɸβ", (("PP", 1.0),))
    | dict.fromkeys("fvʋ", (("FF", 1.0),))
    | dict.fromkeys("θð", (("TH", 1.0),))
    | dict.fromkeys("tdɾTʈɖɽ", (("DD", 1.0),))
    | dict.fromkeys("kɡgŋxɣqχcɟ", (("kk", 1.0),))
    | dict.fromkeys("ʃʒʧʤɕʑʂ", (("CH", 1.0),))
    | dict.fromkeys("szʣʦ", (("SS", 1.0),))
    | dict.fromkeys("nlɲɳʎ", (("nn", 1.0),))
    | dict.fromkeys("ɹrɻʁ", (("RR", 1.0),))
    | dict.fromkeys("aɑæʌɐ", (("aa", 1.0),))
    | dict.fromkeys("eɛɜə", (("E", 1.0),))
    | dict.fromkeys("ᵊᵻɚ", (("E", 0.6), ("I", 0.4)))
    | dict.fromkeys("iɪjyɨ", (("I", 1.0),))
    | dict.fromkeys("oɔɒøœ", (("O", 1.0),))
    | dict.fromkeys("uʊwɯɥ", (("U", 1.0),))
)
"""What each phoneme looks like; misaki's symbols and plain IPA."""

_GLIDES = {"A": "eɪ", "I": "aɪ", "W": "aʊ", "Y": "ɔɪ", "O": "oʊ", "Q": "oʊ"}
"""Diphthongs, as their two halves."""

_ASPIRATED = "hʔɦ"
_SIGNS = "ˈˌːʰʲ̃"


@dataclass(frozen=True, slots=True)
class _Pull:
    """How a class of sounds pulls: with which strength, for how long before and behind its hold."""

    strength: float
    before_ms: float
    behind_ms: float


_PULLS = {
    "sil": _Pull(0.5, 40, 60),
    "PP": _Pull(40.0, 8, 8),
    "FF": _Pull(12.0, 20, 18),
    "TH": _Pull(3.0, 30, 25),
    "DD": _Pull(0.7, 30, 30),
    "kk": _Pull(0.5, 30, 30),
    "CH": _Pull(2.5, 45, 35),
    "SS": _Pull(1.5, 30, 30),
    "nn": _Pull(0.6, 30, 30),
    "RR": _Pull(1.0, 45, 35),
    "aa": _Pull(1.0, 55, 55),
    "E": _Pull(0.8, 50, 50),
    "I": _Pull(0.9, 50, 50),
    "O": _Pull(1.5, 70, 50),  # rounding is prepared early
    "U": _Pull(1.7, 80, 50),
}
_HOLD = 0.5
"""The middle share of a phoneme in which its pull is full."""
_CLOSED = {"p": (-0.27, 0.62), "b": (-0.14, 0.58), "m": (0.05, 0.75)}
"""From where to where, in parts of the phoneme's length, the lips are shut in the audio of the built-in voices:
the burst belongs to the phoneme, and its time is some 15 ms late. For those that `npc.face.lips` cannot hear; means
of every other sentence of `npc profile face`."""
_MEETING_MS = 19.0
"""From the beginning of a lips' pull to more shut than open, and from the end of it to more open: within the above."""


@dataclass(frozen=True, slots=True)
class VisemeKey:
    """One mouth shape: when it begins, its peak and its end, for clients that blend by themselves."""

    viseme: str
    sample: int
    peak_sample: int
    end_sample: int
    weight: float


@dataclass(frozen=True, slots=True)
class _Segment:
    viseme: str
    share: float
    start: float
    end: float
    closed: tuple[float, float] | None = None
    """Of p, b and m: from where to where the lips are shut."""


def viseme_keys(speech: Speech) -> tuple[VisemeKey, ...]:
    """The visemes of a clause, in order; what looks alike side by side becomes one."""
    rate_hz = speech.rate_hz
    keys: list[VisemeKey] = []
    for segment in _segments(speech.phonemes, heard_closures(speech)):
        if keys and keys[-1].viseme == segment.viseme and keys[-1].end_sample >= segment.start:
            before = keys.pop()
            segment = _Segment(
                segment.viseme, max(segment.share, before.weight), before.sample, segment.end, segment.closed
            )
        low, high = _hold(segment, rate_hz)
        peak = max(round((low + high) / 2), 0)
        keys.append(VisemeKey(segment.viseme, round(segment.start), peak, round(segment.end), segment.share))
    return tuple(keys)


def viseme_weights(
    phonemes: Sequence[Phoneme],
    at_samples: NDArray[np.float64],
    rate_hz: int,
    heard: Mapping[int, tuple[float, float]] = NONE_HEARD,
) -> Weights:
    """The shape of the mouth at each of `at_samples` [frames], [frames, 15]; rows sum to 1.

    `heard`: when lips meet, as `npc.face.lips` hears it; by the phonemes' times where it is missing.
    """
    segments = list(_segments(phonemes, heard))
    weights = np.zeros((len(at_samples), len(VISEMES)), np.float32)
    if not segments:
        weights[:, 0] = 1
        return weights
    pulls = [_PULLS[segment.viseme] for segment in segments]
    holds = np.array([_hold(segment, rate_hz) for segment in segments])  # [segments, 2]
    per_ms = rate_hz / 1000
    before = np.array([pull.before_ms for pull in pulls]) * per_ms
    behind = np.array([pull.behind_ms for pull in pulls]) * per_ms
    strength = np.array([pull.strength * segment.share for pull, segment in zip(pulls, segments, strict=True)])
    early = np.maximum(holds[:, 0] - at_samples[:, None], 0) / before  # [frames, segments]
    late = np.maximum(at_samples[:, None] - holds[:, 1], 0) / behind
    dominance = strength * np.exp(-((early + late) ** 1.5))
    shapes = np.zeros((len(segments), len(VISEMES)))
    shapes[np.arange(len(segments)), [_INDEX[segment.viseme] for segment in segments]] = 1
    summed = dominance @ shapes + 1e-6 * np.eye(1, len(VISEMES))
    weights[:] = summed / summed.sum(axis=1, keepdims=True)
    return weights


def _hold(segment: _Segment, rate_hz: int) -> tuple[float, float]:
    """From where to where its pull is full."""
    length = segment.end - segment.start
    if segment.closed is None:
        return segment.start + (1 - _HOLD) / 2 * length, segment.start + (1 + _HOLD) / 2 * length
    start, end = segment.closed
    meeting = min(_MEETING_MS * rate_hz / 1000, (end - start) / 2)
    return start + meeting, end - meeting


def _segments(phonemes: Sequence[Phoneme], heard: Mapping[int, tuple[float, float]] = NONE_HEARD) -> Iterator[_Segment]:
    """Phonemes as shapes: diphthongs in halves, signs none, pauses closed softly."""
    for n, phoneme in enumerate(phonemes):
        start, end = float(phoneme.start_sample), float(phoneme.end_sample)
        symbol = phoneme.symbol
        if symbol and symbol in _SIGNS:
            continue
        if symbol in _GLIDES:
            middle = start + 0.55 * (end - start)
            for half, edges in zip(_GLIDES[symbol], ((start, middle), (middle, end)), strict=True):
                yield _Segment(_PHONEMES[half][0][0], 1.0, *edges)
        elif symbol and symbol in _ASPIRATED:
            behind = phonemes[n + 1].symbol if n + 1 < len(phonemes) else ""
            shapes = _PHONEMES.get(_GLIDES.get(behind, behind)[:1], (("E", 1.0),))
            yield _Segment(shapes[0][0], 0.4, start, end)
        else:
            for viseme, share in _PHONEMES.get(symbol, _unknown(symbol)):
                low, high = _CLOSED.get(symbol, (0.0, 1.0))
                closed = heard.get(n, (start + low * (end - start), start + high * (end - start)))
                yield _Segment(viseme, share, start, end, closed if viseme == "PP" else None)


def _unknown(symbol: str) -> tuple[tuple[str, float], ...]:
    """A letter of a synthesiser without phonemes, by its sound in most words; else a pause."""
    letter = symbol[:1].lower()
    return _PHONEMES.get(letter, (("E", 0.5),)) if letter.isalpha() else (("sil", 1.0),)
