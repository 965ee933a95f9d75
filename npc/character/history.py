"""What was said and done so far, as the prompt needs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from npc.actions.markup import render_call
from npc.actions.spec import ActionSpec, Args

KEPT_EXCHANGES = 12
"""At most so many stand in a prompt …"""
DROPPED_AT_ONCE = 6
"""… and the oldest leave by so many, so that the cached beginning of the prompt changes seldom."""


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What became of a call in the game; `call` as `render_call` writes it."""

    call: str
    outcome: Literal["done", "failed", "refused"]
    reason: str = ""

    @classmethod
    def of(
        cls, action: ActionSpec, args: Args, outcome: Literal["done", "failed", "refused"], reason: str = ""
    ) -> "ActionOutcome":
        return cls(render_call(action, args), outcome, reason)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn. `npc` is what was heard, with the calls that were made in their places.

    `player` is empty where the character spoke first.
    """

    player: str
    npc: str
    outcomes: tuple[ActionOutcome, ...] = ()


def recent(history: Sequence[Exchange]) -> Sequence[Exchange]:
    """The end of `history` that a prompt has room for."""
    n_over = max(0, len(history) - KEPT_EXCHANGES)
    return history[-(-n_over // DROPPED_AT_ONCE) * DROPPED_AT_ONCE :]
