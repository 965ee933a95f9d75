"""What a session must not lose, as one value with one owner (the session).

All of it can be written as JSON, so that a reconnect, a restart or another
machine can take a conversation over. What can be computed again (the model's
cache, embeddings) is not in here.
"""

from dataclasses import dataclass, field
from typing import Literal

from npc.actions import ActionLedger
from npc.feeling import Heart
from npc.world import Scene


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the player said, and what the character said and did of its answer before it was broken off, if it was."""

    player: str
    npc: str
    """As heard; calls stand in it as the model wrote them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action; told to the model with the player's next words."""

    rendered: str
    outcome: Literal["done", "failed", "refused"]
    reason: str = ""


MAX_EXCHANGES = 8
"""Older exchanges leave the prompt: a small model's attention and context are short."""
MAX_OUTCOMES = 8


@dataclass(slots=True)
class SessionState:
    scene: Scene
    heart: Heart
    exchanges: list[Exchange] = field(default_factory=list)
    ledger: ActionLedger = field(default_factory=ActionLedger)
    outcomes: tuple[Outcome, ...] = ()
    """Those that the model was not told of."""
    recent: tuple[str, ...] = ()
    """Ids that were spoken of, latest first."""
    seen: frozenset[str] = frozenset()
    """Ids that the character noticed when it last spoke."""
    n_turns: int = 0

    def remember(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        # Dropping half at a time keeps the beginning of the prompt, and so the model's cache of it, for a few turns.
        if len(self.exchanges) > MAX_EXCHANGES:
            del self.exchanges[: MAX_EXCHANGES // 2]

    def learn(self, outcome: Outcome) -> None:
        self.outcomes = (*self.outcomes, outcome)[-MAX_OUTCOMES:]

    def told(self, outcomes: tuple[Outcome, ...]) -> None:
        """The model knows of these."""
        self.outcomes = tuple(outcome for outcome in self.outcomes if outcome not in outcomes)
