"""Whether a decoded text can be what was said. Pure: judges tokens and scores, runs no model.

With too little silence behind the speech Whisper's decoder misses the end and
says all of it again; on noise it invents. The limits are Whisper's own
(Radford et al. 2022, section 4.5) but for the token rate and the loops.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

MAX_COMPRESSION = 2.4
MIN_MEAN_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6
TOKENS_PER_S = 8.0
"""Fast speech has about 5 words a second, 6.5 tokens."""
TOKENS_SPARE = 10
MAX_TOKENS = 224
"""Whisper's text context less the half that is for a prompt."""
LOOP_REPEATS = 4
LOOP_TOKENS = 8
"""A loop is the same tokens at least four times in a row, eight tokens long or more: "no, no, no" is none."""
RESTART_UNIT = 3
RESTART_OVERLAP = 2
"""A restart is a text of three tokens or more that begins a second time, by at least two tokens, up to the end."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoding; `reached_limit` when it was cut off at `token_limit` instead of ending by itself."""

    tokens: tuple[int, ...]
    text: str
    mean_logprob: float
    no_speech_prob: float
    reached_limit: bool


def token_limit(audio_s: float) -> int:
    """More tokens than this cannot be spoken in `audio_s` seconds."""
    return min(TOKENS_SPARE + int(TOKENS_PER_S * audio_s), MAX_TOKENS)


def is_silence(decoded: Decoded) -> bool:
    """Nobody spoke, and the text is invented."""
    return decoded.no_speech_prob > MAX_NO_SPEECH and decoded.mean_logprob < MIN_MEAN_LOGPROB


def is_stuck(decoded: Decoded) -> bool:
    """The decoder went round in circles; people do not."""
    return decoded.reached_limit or _loop(decoded.tokens) < len(decoded.tokens)


def is_doubtful(decoded: Decoded) -> bool:
    """Worth a second look with the full window. People do say things twice: that decides."""
    return (
        is_stuck(decoded)
        or _restart(decoded.tokens) < len(decoded.tokens)
        or compression_ratio(decoded.text) > MAX_COMPRESSION
        or decoded.mean_logprob < MIN_MEAN_LOGPROB
    )


def first_saying(tokens: Sequence[int]) -> int:
    """How many tokens there are until the text begins to repeat itself; all of them where it does not."""
    n = len(tokens)
    while (shorter := min(_restart(tokens[:n]), _loop(tokens[:n]))) < n:  # what is left may itself repeat its beginning
        n = shorter
    return n


def _restart(tokens: Sequence[int]) -> int:
    """Where the text begins anew, and goes on like that to its end."""
    n = len(tokens)
    units = range(RESTART_UNIT, n - RESTART_OVERLAP + 1)
    return next((unit for unit in units if tokens[unit:] == tokens[: n - unit]), n)


def _loop(tokens: Sequence[int]) -> int:
    """The end of the first copy of what is then said over and over."""
    n = len(tokens)
    for start in range(n):
        for unit in range(1, (n - start) // LOOP_REPEATS + 1):
            repeats = _repeats(tokens[start:], unit)
            if repeats >= LOOP_REPEATS and repeats * unit >= LOOP_TOKENS:
                return start + unit
    return n


def _repeats(tokens: Sequence[int], unit: int) -> int:
    """How many copies of the first `unit` tokens the text begins with."""
    n = 1
    while tokens[n * unit : (n + 1) * unit] == tokens[:unit]:
        n += 1
    return n


def compression_ratio(text: str) -> float:
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if encoded else 0.0
