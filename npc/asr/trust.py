"""Whether a decoded text can be what was said. Pure: judges tokens and scores, runs no model.

With little silence behind the speech Whisper's decoder may miss the end and
repeat itself; on noise it invents. The limits are Whisper's own (Radford et
al. 2022, section 4.5) but for the token rate and the loop, which are ours.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

MAX_COMPRESSION = 2.4
MIN_MEAN_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6
TOKENS_PER_S = 9.0
"""Fast speech has about 5 words a second, 6.5 tokens."""
TOKENS_SPARE = 10
LOOP_REPEATS = 4
LOOP_TOKENS = 8
"""A loop is the same tokens at least four times in a row, eight tokens long or more: "no, no, no" is none."""


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
    return TOKENS_SPARE + int(TOKENS_PER_S * audio_s)


def is_silence(decoded: Decoded) -> bool:
    """Nobody spoke, and the text is invented."""
    return decoded.no_speech_prob > MAX_NO_SPEECH and decoded.mean_logprob < MIN_MEAN_LOGPROB


def is_looping(decoded: Decoded) -> bool:
    return (
        decoded.reached_limit
        or find_loop(decoded.tokens) is not None
        or compression_ratio(decoded.text) > MAX_COMPRESSION
    )


def is_doubtful(decoded: Decoded) -> bool:
    """Worth a second look with the full window."""
    return is_looping(decoded) or decoded.mean_logprob < MIN_MEAN_LOGPROB


def find_loop(tokens: Sequence[int]) -> tuple[int, int] | None:
    """Start and unit length of the first run of the same tokens over and over; None where there is none."""
    n = len(tokens)
    for start in range(n):
        for unit in range(1, (n - start) // LOOP_REPEATS + 1):
            repeats = 1
            first = tokens[start : start + unit]
            while tokens[start + repeats * unit : start + (repeats + 1) * unit] == first:
                repeats += 1
            if repeats >= LOOP_REPEATS and repeats * unit >= LOOP_TOKENS:
                return start, unit
    return None


def compression_ratio(text: str) -> float:
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if encoded else 0.0
