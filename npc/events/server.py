"""What the server says of the session, of the player's turns, and of how a reply came about."""

from typing import Any, Literal

from pydantic import Field

from npc.events.base import Event, Turn


class SessionReady(Event):
    """The character listens."""

    type: Literal["session-ready"] = "session-ready"
    session: str
    character: str
    name: str = Field(description="The character's name, to show")
    voice: str
    rate_hz: int = Field(description="The rate of reply audio, 16-bit mono PCM")
    resumed: bool = Field(default=False, description="A lost session goes on; else it is a new one")
    protocol: Literal["npc.v1"] = "npc.v1"


class SpeechStarted(Event):
    """The player began to speak."""

    type: Literal["speech-started"] = "speech-started"
    turn: Turn


class SpeechStopped(Event):
    """The player's turn is over. A reply follows unless the final transcript is empty."""

    type: Literal["speech-stopped"] = "speech-stopped"
    turn: Turn


class TranscriptEvent(Event):
    """What the player said so far, or in full when `is_final`."""

    type: Literal["transcript"] = "transcript"
    turn: Turn
    text: str
    is_final: bool


class PassageUsed(Event):
    file: str
    heading: str
    text: str
    score: float


class PassagesEvent(Event):
    """What the character looked up for this reply, best first."""

    type: Literal["passages"] = "passages"
    turn: Turn
    passages: tuple[PassageUsed, ...]


class SpanReport(Event):
    name: str
    start_ms: float
    end_ms: float
    attributes: dict[str, Any] = Field(default={})  # JSON scalars


class Speculation(Event):
    """What came of beginning replies at pauses, before the turn was over."""

    n_thrown_away: int = Field(description="Replies that were begun in vain, since the player went on")
    n_tokens_thrown_away: int
    audio_ms_thrown_away: int
    saved_ms: float = Field(description="Work on this reply, after recognition, that was done before the turn was over")
    n_begun: int = Field(
        default=0, description="Replies that went further than recognition before the turn was over, in vain or not"
    )
    is_hit: bool = Field(default=False, description="The reply that was given is one of them")


class TurnMetrics(Event):
    """Where the time of a turn went; times count from the player's last speech sample."""

    type: Literal["turn-metrics"] = "turn-metrics"
    turn: Turn
    voice_to_voice_ms: float | None = Field(description="Last speech sample to first reply audio; null for text")
    speculation: Speculation | None = Field(default=None, description="null for text")
    spans: tuple[SpanReport, ...]


class ErrorEvent(Event):
    """Something could not be done. The connection goes on unless `fatal`."""

    type: Literal["error"] = "error"
    code: str
    message: str
    fatal: bool = False
    turn: Turn | None = None
