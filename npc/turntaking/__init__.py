"""Whose turn it is: voice activity, and the decision when a player's turn begins and ends.

Frames of 32 ms go through `vad` (a model, on its own thread) and their
probabilities through `detector` (pure, no I/O), which answers with events.
"""

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

__all__ = ["DetectorEvent", "Lull", "Patience", "Paused", "Resumed", "TurnDetector", "TurnEnded", "TurnStarted"]
