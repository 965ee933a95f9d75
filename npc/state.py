"""What a session must not lose, as one value with one owner (the session).

All of it can be written as JSON, so that a reconnect, a restart or another
machine can take a conversation over. What can be computed again (the model's
cache, embeddings) is not in here.
"""

from dataclasses import dataclass, field
from typing import Literal

from npc.errors import InputError
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


@dataclass(slots=True)
class SessionState:
    scene: Scene
    exchanges: list[Exchange] = field(default_factory=list)
    open_actions: dict[str, str] = field(default_factory=dict)
    """Actions that the game was told of and has not answered: id → the call as the model wrote it."""
    outcomes: list[Outcome] = field(default_factory=list)
    n_turns: int = 0

    def remember(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        # Dropping half at a time keeps the beginning of the prompt, and so the model's cache of it, for a few turns.
        if len(self.exchanges) > MAX_EXCHANGES:
            del self.exchanges[: MAX_EXCHANGES // 2]

    def open_action(self, action_id: str, rendered: str) -> None:
        self.open_actions[action_id] = rendered

    def close_action(self, action_id: str, outcome: Literal["done", "failed", "refused"], reason: str) -> None:
        """Raises InputError (`unknown-action`) when no such action waits for a result."""
        rendered = self.open_actions.pop(action_id, None)
        if rendered is None:
            open_ids = ", ".join(self.open_actions) or "none"
            raise InputError(f"no action '{action_id}' waits for a result; open are: {open_ids}", "unknown-action")
        self.outcomes.append(Outcome(rendered, outcome, reason))
