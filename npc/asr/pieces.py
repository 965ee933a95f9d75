"""Cuts a long recording into pieces that fit Whisper's window of 30 s, where it is quietest."""

import numpy as np

from npc.turn import HEARING_RATE_HZ, Samples

MAX_PIECE_S = 28.0
MIN_PIECE_S = 20.0
"""A cut is looked for between these; later pieces start there. Total work is linear in the length."""
_STEP = HEARING_RATE_HZ // 50  # 20 ms
_SMOOTH = 10  # a pause is 200 ms long


def pieces(audio: Samples) -> list[Samples]:
    """`audio` [n] at 16 kHz → consecutive pieces that join to it, each at most 28 s long."""
    cut: list[Samples] = []
    while len(audio) > MAX_PIECE_S * HEARING_RATE_HZ:
        at = quietest(audio, int(MIN_PIECE_S * HEARING_RATE_HZ), int(MAX_PIECE_S * HEARING_RATE_HZ))
        cut.append(audio[:at])
        audio = audio[at:]
    cut.append(audio)
    return cut


def quietest(audio: Samples, start: int, end: int) -> int:
    """The middle of the 200 ms with the least energy in [start, end)."""
    steps = audio[start : start + (end - start) // _STEP * _STEP].reshape(-1, _STEP)
    energy = np.convolve(np.square(steps).mean(axis=1), np.ones(_SMOOTH), "valid")
    return start + (int(energy.argmin()) + _SMOOTH // 2) * _STEP
