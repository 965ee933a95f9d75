"""Talks whose connection was lost, kept for a while so that a client can take them up again."""

from dataclasses import dataclass

from npc.clock import Clock
from npc.events import SessionStart
from npc.state import SessionState

KEPT_MS = 120_000
MAX_KEPT = 1024


@dataclass(slots=True)
class Talk:
    """One player's talk with one character; it outlives its connection."""

    id: str
    character: str
    player: str
    state: SessionState
    ended_ms: float | None = None
    """When its connection ended, on the latency clock; None while it is going on."""
    is_left: bool = False
    """The client has said that it will not come back."""


class LostTalks:
    """Of one engine. A talk that is going on can be taken over by nobody."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._talks: dict[str, Talk] = {}

    def keep(self, talk: Talk) -> None:
        """Remember it from its beginning: whoever loses a connection cannot say so."""
        self._forget_old()
        self._talks[talk.id] = talk

    def find(self, start: SessionStart) -> Talk | None:
        """The lost talk that `start` asks for; None where there is none that this player had with this character."""
        self._forget_old()
        talk = self._talks.get(start.resume or "")
        if talk is None or talk.ended_ms is None:
            return None
        return talk if (talk.character, talk.player) == (start.character, start.player) else None

    def knows(self, talk_id: str) -> bool:
        """Whether this talk was had here, and is going on or can be taken up."""
        return talk_id in self._talks

    def forget(self, talk: Talk) -> None:
        """It is taken up elsewhere."""
        self._talks.pop(talk.id, None)

    def _forget_old(self) -> None:
        oldest_ms = self._clock.now_ms() - KEPT_MS
        ended = [(talk.ended_ms, talk) for talk in self._talks.values() if talk.ended_ms is not None]
        surplus = [talk for _, talk in ended[: max(0, len(ended) - MAX_KEPT)]]
        for talk in surplus + [talk for ended_ms, talk in ended if talk.is_left or ended_ms < oldest_ms]:
            self._talks.pop(talk.id, None)
