"""How long to wait at a pause before the turn counts as over.

Waiting one millisecond more costs one where the player has finished, and spares a false
cutoff where the player goes on at just that moment. With log odds z that the turn is
complete, inner pauses of mean length T and a cutoff that is as bad as a delay of C, the
two are even at  T · (ln(C / T) - z):  the wait falls linearly with the log odds.
`eagerness` sets ln(C / T).
"""

import math
from dataclasses import dataclass
from typing import Final

from npc.config import TurnTaking
from npc.turntaking.completeness import completeness

MEAN_PAUSE_MS: Final = 500
"""T. With 300 more players were cut off at the same median wait, with 800 the slowest twentieth waited too long
(`rehearsal`)."""
PATIENT: Final = 3.5
EAGER: Final = 1.0
"""ln(C / T) at eagerness 0 and 1: a cutoff is as bad as waiting 17 s, or 1.4 s."""
SMART_TURN_WEIGHT: Final = 0.5
"""More than a robot's voice deserves, less than a person's."""
SMART_TURN_LIMIT: Final = 3.0
"""Log odds beyond this are not believed."""
UNKNOWN_WORDS: Final = -1.5
"""Log odds where nothing is transcribed yet: worth waiting for."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at a pause. It arrives bit by bit: what is not known yet is None."""

    transcript: str | None = None
    """The player's words so far in this turn; the empty text when there are none in what was heard."""
    smart_turn: float | None = None
    """How finished it sounds, 0 to 1."""
    asked: str = ""
    """What the character said last."""


def endpoint_ms(evidence: Evidence, settings: TurnTaking) -> int:
    """How much silence ends the turn, between `min_endpoint_ms` and `max_endpoint_ms`."""
    patience = PATIENT + (EAGER - PATIENT) * settings.eagerness
    wait_ms = MEAN_PAUSE_MS * (patience - log_odds(evidence))
    return round(min(max(wait_ms, settings.min_endpoint_ms), settings.max_endpoint_ms))


def log_odds(evidence: Evidence) -> float:
    """That the turn is complete, by all that is known."""
    words = UNKNOWN_WORDS if evidence.transcript is None else completeness(evidence.transcript, evidence.asked)
    return words + (0.0 if evidence.smart_turn is None else SMART_TURN_WEIGHT * _logit(evidence.smart_turn))


def _logit(probability: float) -> float:
    limit = 1 / (1 + math.exp(SMART_TURN_LIMIT))
    bounded = min(max(probability, limit), 1 - limit)
    return math.log(bounded / (1 - bounded))
