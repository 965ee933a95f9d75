"""Whose turn it is: voice activity, and the decision when a player's turn begins and ends.

Frames of 32 ms go through `vad` (a model, on its own thread) and their
probabilities through `detector` (pure, no I/O), which answers with events. At a
pause, `policy` says how long to wait by what was said (`completeness`), how it
sounded (`smart_turn`) and what was asked. `onset` notices what may be the beginning
of a voice, and `barge_in` says what a voice over a reply is worth.
"""

from npc.turntaking.barge_in import Overlap, Reaction, react
from npc.turntaking.detector import (
    DetectorEvent,
    Lull,
    Patience,
    Paused,
    Resumed,
    TurnDetector,
    TurnEnded,
    TurnStarted,
)
from npc.turntaking.onset import Onset
from npc.turntaking.policy import Evidence, endpoint_ms

__all__ = [
    "DetectorEvent",
    "Evidence",
    "Lull",
    "Onset",
    "Overlap",
    "Patience",
    "Paused",
    "Reaction",
    "Resumed",
    "TurnDetector",
    "TurnEnded",
    "TurnStarted",
    "endpoint_ms",
    "react",
]
