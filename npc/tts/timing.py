"""When each word and phoneme is heard, and where a clause's audio begins and ends.

The model gives each unit of the reading a length. Its sound is heard one unit
early: unit k sounds while the lengths say k - 1, the first one within the
opening silence. (Found by comparing voicing with the lengths on sentences full
of voiceless consonants: 88 % of frames agree, against 67 % as the lengths stand.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from npc.tts.reading import Reading
from npc.tts.sayable import SayableWord
from npc.turn import Phoneme, Samples, Speech, Word

_DELAY_MS = 6.0
"""Of the sound behind the lengths, once they are moved by a unit."""
_STRESS = "ˈˌ"
_WINDOW_MS = 5.0
_AUDIBLE_DB = -40.0
"""Against the loudest window; a weak fricative is some 30 dB below a loud vowel."""
_ONSET_MARGIN_MS = 10.0
_DECAY_MS = 15.0
_FADE_MS = 4.0
_GAP_MS = {",": 130.0, ";": 200.0, ":": 180.0, "—": 160.0, ".": 260.0, "!": 260.0, "?": 280.0, "…": 320.0}
_PLAIN_GAP_MS = 25.0
"""Silence after a clause, by the sign that ends it; a clause cut between words hardly has any."""


@dataclass(frozen=True, slots=True)
class _Sound:
    """A phoneme and the word that it belongs to, or a pause (`word` None)."""

    symbol: str
    word: int | None
    end: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """`audio` began `start` samples into what it was cut from; its sound ends at `n_sounding`, silence follows."""

    audio: Samples
    start: int
    n_sounding: int


def timed_speech(text: str, reading: Reading, durations: NDArray[np.int64], audio: Samples, rate_hz: int) -> Speech:
    """`audio` from its first audible sample to a natural gap behind its last, with every word's time.

    `durations`: samples [units]. The phonemes of the result tile its audio; pauses keep their sign.
    """
    sign = _last_sign(reading)
    cut = trimmed(audio, rate_hz, sign)
    start, sound_end = cut.start, cut.start + cut.n_sounding

    sounds = _sounds(reading, durations, _samples(_DELAY_MS, rate_hz))
    phonemes: list[tuple[Phoneme, int | None]] = []
    position = 0
    n_last = max(i for i, sound in enumerate(sounds) if sound.word is not None)
    for sound in sounds[:n_last]:
        end = min(max(sound.end - start, position), sound_end - start)
        phonemes.append((Phoneme(sound.symbol, position, end), sound.word))
        position = end
    phonemes.append((Phoneme(sounds[n_last].symbol, position, sound_end - start), sounds[n_last].word))
    phonemes.append((Phoneme(sign or " ", sound_end - start, len(cut.audio)), None))
    return Speech(text, cut.audio, rate_hz, _words(reading.words, phonemes), tuple(phoneme for phoneme, _ in phonemes))


def trimmed(audio: Samples, rate_hz: int, sign: str) -> Trimmed:
    """From the first audible sample to the last, and the silence that belongs behind a clause that ends with `sign`."""
    start = onset(audio, rate_hz)
    end = min(len(audio), _audible(audio, rate_hz)[1] + _samples(_DECAY_MS, rate_hz))
    length = end - start + gap_samples(sign, rate_hz)
    kept = audio[start : start + length].copy()
    _fade(kept, _samples(_FADE_MS, rate_hz))
    return Trimmed(np.pad(kept, (0, length - len(kept))), start, end - start)


def onset(audio: Samples, rate_hz: int) -> int:
    """The sample at which `audio` should begin for its first sound to be heard at once."""
    return max(0, _audible(audio, rate_hz)[0] - _samples(_ONSET_MARGIN_MS, rate_hz))


def gap_samples(sign: str, rate_hz: int) -> int:
    """The silence behind a clause that ends with `sign`."""
    return _samples(_GAP_MS.get(sign, _PLAIN_GAP_MS), rate_hz)


def _sounds(reading: Reading, durations: NDArray[np.int64], delay: int) -> list[_Sound]:
    """The units as they are heard, ends in samples of the untrimmed audio."""
    ends = np.cumsum(durations)
    sounds: list[_Sound] = []
    units = reading.units
    for k in range(1, len(units) - 1):
        unit, end = units[k], int(ends[k - 1]) + delay
        if unit.symbol in _STRESS:
            continue  # its length goes to the sound behind it
        if unit.symbol == " ":
            if sounds and sounds[-1].word is None:  # behind a pause: more of it
                sounds[-1] = _Sound(sounds[-1].symbol, None, end)
            elif sounds:  # fluent speech has no silence between words: half to each side
                half = end - int(durations[k - 1]) // 2
                sounds[-1] = _Sound(sounds[-1].symbol, sounds[-1].word, half)
            continue
        sounds.append(_Sound(unit.symbol, unit.word, end))
    return sounds


def _words(words: Sequence[SayableWord], phonemes: Sequence[tuple[Phoneme, int | None]]) -> tuple[Word, ...]:
    """A time for every word. One without phonemes of its own shares the time of the word before it, or behind."""
    spans: dict[int, tuple[int, int]] = {}
    for phoneme, word in phonemes:
        if word is not None:
            start = spans.get(word, (phoneme.start_sample, 0))[0]
            spans[word] = (start, phoneme.end_sample)
    leaders = sorted(spans)
    owners = [max((leader for leader in leaders if leader <= i), default=leaders[0]) for i in range(len(words))]
    timed: list[Word] = []
    for leader, group in groupby(range(len(words)), key=owners.__getitem__):
        members = list(group)
        letters = np.cumsum([0] + [len(words[i].spoken) for i in members])
        start, end = spans[leader]
        edges = [start + round((end - start) * n / letters[-1]) for n in letters]
        timed += [Word(words[i].visible, edges[n], edges[n + 1]) for n, i in enumerate(members)]
    return tuple(timed)


def _last_sign(reading: Reading) -> str:
    for unit in reversed(reading.units):
        if unit.word is not None:
            return ""
        if unit.symbol in _GAP_MS:
            return unit.symbol
    return ""


def _audible(audio: Samples, rate_hz: int) -> tuple[int, int]:
    """The samples between which `audio` can be heard."""
    window = _samples(_WINDOW_MS, rate_hz)
    n = len(audio) // window
    power = (audio[: n * window].reshape(n, window) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max(initial=1e-12) * 10 ** (_AUDIBLE_DB / 10))
    if not len(loud):
        return 0, len(audio)
    return int(loud[0]) * window, (int(loud[-1]) + 1) * window


def _fade(audio: Samples, n: int) -> None:
    n = min(n, len(audio) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, n, dtype=np.float32)) ** 2
    audio[:n] *= ramp
    audio[len(audio) - n :] *= ramp[::-1]


def _samples(ms: float, rate_hz: int) -> int:
    return round(ms * rate_hz / 1000)
