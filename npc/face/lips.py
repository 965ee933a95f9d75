"""When lips meet, as the audio itself tells: the closures of p, b and m in a clause.

A synthesiser's phoneme times are exact to its own grid, and a burst or a
murmur lies differently in each; a clause's audio is at hand, so the edges are
taken from it where they can be heard: the steepest fall and rise of what
sounds above a kilohertz, near the phoneme. Costs some 30 µs a phoneme.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from npc.turn import Phoneme, Samples, Speech

BILABIALS = "pbm"
OPEN = "AIOQWYaiueoæɑəɛɜɪʊʌɔɐɒᵊᵻɹljw"
"""Sounds beside which a closure has an edge of its own."""

_AROUND_MS = 45.0
_WINDOW_MS = 8.0
_SLOPE = 12
"""Milliseconds over which an edge rises or falls …"""
_LEAST_STEP_DB = 8.0
"""… by at least this; with softer edges the phoneme's own time is better."""
_SHORTEST, _LONGEST = 25, 130
"""Milliseconds that lips can be taken to be shut."""


def heard_closures(speech: Speech) -> dict[int, tuple[float, float]]:
    """From which sample to which the lips are shut, by the phoneme's index; those without clear edges are missing."""
    found: dict[int, tuple[float, float]] = {}
    per_ms = speech.rate_hz / 1000
    for n, phoneme in enumerate(speech.phonemes):
        if phoneme.symbol in BILABIALS and is_between_open_sounds(speech.phonemes, n):
            low = max(round(phoneme.start_sample - _AROUND_MS * per_ms), 0)
            high = round(phoneme.end_sample + 0.5 * _AROUND_MS * per_ms)
            edges = _edges(_brightness_db(speech.audio[low:high], speech.rate_hz))
            if edges is not None:
                found[n] = (low + edges[0] * per_ms, low + edges[1] * per_ms)
    return found


def is_between_open_sounds(phonemes: Sequence[Phoneme], n: int) -> bool:
    return 0 < n < len(phonemes) - 1 and phonemes[n - 1].symbol in OPEN and phonemes[n + 1].symbol in OPEN


def _brightness_db(audio: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Decibels of the third difference, in which high sounds outweigh murmurs; one value a millisecond, centred."""
    hop, length = rate_hz // 1000, int(rate_hz * _WINDOW_MS / 1000)
    power = np.diff(audio.astype(np.float64), 3) ** 2
    summed = np.cumsum(np.pad(power, (length // 2 + 3, length)))
    n = len(audio) // hop
    level = summed[length : length + n * hop : hop] - summed[: n * hop : hop]
    return np.asarray(10 * np.log10(level + 1e-9))


def _edges(level_db: NDArray[np.float64]) -> tuple[int, int] | None:
    """From the steepest fall to the steepest rise around the bottom, in milliseconds."""
    if len(level_db) < 4 * _SLOPE:
        return None
    margin = round(0.6 * _AROUND_MS)
    bottom = margin + int(np.argmin(level_db[margin:-margin])) if len(level_db) > 2 * margin else len(level_db) // 2
    half = _SLOPE // 2
    change = np.zeros(len(level_db))
    change[half:-half] = level_db[_SLOPE:] - level_db[:-_SLOPE]
    start = int(np.argmin(change[: bottom + 1]))
    end = bottom + int(np.argmax(change[bottom:]))
    is_clear = change[start] < -_LEAST_STEP_DB and change[end] > _LEAST_STEP_DB
    return (start, end) if is_clear and _SHORTEST <= end - start <= _LONGEST else None


NONE_HEARD: Mapping[int, tuple[float, float]] = {}
