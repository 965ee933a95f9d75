"""What a session hears and says: the wire vocabulary of `npc.v1`.

Text frames carry one event each, as JSON with a `type`. Events that belong to
a reply carry its `turn`, and those with a place in its speech the `sample` at
which it happens. Speech travels in binary frames (`npc.frames`). The JSON
schema in clients/ is generated from this file; docs/protocol.md explains it.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from npc.world import Scene, SceneDelta

PROTOCOL = "npc.v1"

Turn = Annotated[int, Field(ge=0, description="Which exchange; counts up within a session")]
Sample = Annotated[int, Field(ge=0, description="Position in the reply's audio, in samples")]


class Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# From the client


class AudioInput(Event):
    """How the microphone's binary frames are to be read: PCM, 16 bits, little-endian, interleaved."""

    rate_hz: Literal[8000, 16000, 24000, 44100, 48000] = 16000
    channels: Literal[1, 2] = 1


class SessionStart(Event):
    """The first event of a connection: with whom to talk, and how the microphone sounds."""

    type: Literal["session-start"] = "session-start"
    character: str
    audio: AudioInput = AudioInput()
    player: Annotated[str, Field(max_length=64)] = "player"
    token: str | None = None
    scene: Scene | None = Field(default=None, description="What is around; the scene of its own files if absent")
    reply: Literal["speech", "text"] = Field(default="speech", description="`text`: words and actions without audio")


class PlayerText(Event):
    """The player typed instead of speaking."""

    type: Literal["text"] = "text"
    text: Annotated[str, Field(min_length=1, max_length=2000)]


class SpeechStart(Event):
    """A push-to-talk key went down: what follows is speech until `speech-end`, whatever the pauses in it."""

    type: Literal["speech-start"] = "speech-start"


class SpeechEnd(Event):
    """The client knows that the utterance is over (a push-to-talk key was released): do not wait for silence."""

    type: Literal["speech-end"] = "speech-end"


class SceneUpdate(Event):
    """Replaces the scene."""

    type: Literal["scene"] = "scene"
    scene: Scene


class SceneDeltaEvent(Event):
    """Changes a few things of the scene."""

    type: Literal["scene-delta"] = "scene-delta"
    delta: SceneDelta


class ActionResult(Event):
    """What became of an action in the game."""

    type: Literal["action-result"] = "action-result"
    action: str = Field(description="The id of the `action` event that this answers")
    outcome: Literal["done", "failed", "refused"]
    reason: Annotated[str, Field(max_length=400)] = ""


class Playback(Event):
    """How far the player has heard the reply; without it, the server assumes real time."""

    type: Literal["playback"] = "playback"
    turn: Turn
    sample: Sample


class Interrupt(Event):
    """Stop the reply, as if the player had spoken over it."""

    type: Literal["interrupt"] = "interrupt"


class SessionEnd(Event):
    """The client is leaving; the server ends the connection."""

    type: Literal["session-end"] = "session-end"


ClientEvent = Annotated[
    SessionStart
    | PlayerText
    | SpeechStart
    | SpeechEnd
    | SceneUpdate
    | SceneDeltaEvent
    | ActionResult
    | Playback
    | Interrupt
    | SessionEnd,
    Field(discriminator="type"),
]

# From the server


class SessionReady(Event):
    """The character listens."""

    type: Literal["session-ready"] = "session-ready"
    session: str
    character: str
    name: str = Field(description="The character's name, to show")
    voice: str
    rate_hz: int = Field(description="The rate of reply audio, 16-bit mono PCM")
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


class ReplyStarted(Event):
    """The character answers: words and audio follow."""

    type: Literal["reply-started"] = "reply-started"
    turn: Turn


class TimedWord(Event):
    text: str
    sample: Sample
    end_sample: Sample


class TimedPhoneme(Event):
    symbol: str
    sample: Sample
    end_sample: Sample


class WordsEvent(Event):
    """A clause of the reply and when its words and phonemes are heard; sent just before its audio."""

    type: Literal["words"] = "words"
    turn: Turn
    sample: Sample
    text: str
    words: tuple[TimedWord, ...]
    phonemes: tuple[TimedPhoneme, ...]


class ActionEvent(Event):
    """The character does something when the reply's audio reaches `sample`."""

    type: Literal["action"] = "action"
    turn: Turn
    sample: Sample
    id: str
    name: str
    args: dict[str, Any]  # JSON scalars; each action declares its own


class ReplyHushed(Event):
    """The player makes a sound: hold the reply's audio where it is, until `reply-resumed` or `reply-ended`."""

    type: Literal["reply-hushed"] = "reply-hushed"
    turn: Turn
    sample: Sample


class ReplyResumed(Event):
    """It was nothing: play on."""

    type: Literal["reply-resumed"] = "reply-resumed"
    turn: Turn


class ReplyEnded(Event):
    """The reply is over for the ear: it was played to its end (as reported, or in real time), or broken off.

    After `interrupted` and `failed`, drop what is not yet played. The last audio
    frame of a reply is flagged; it may arrive long before this event.
    """

    type: Literal["reply-ended"] = "reply-ended"
    turn: Turn
    reason: Literal["done", "interrupted", "failed"]
    text: str = Field(description="What was said; after an interruption, what was heard of it")
    n_samples: int


class SpanReport(Event):
    name: str
    start_ms: float
    end_ms: float
    attributes: dict[str, Any] = {}  # JSON scalars


class Speculation(Event):
    """What came of beginning replies at pauses, before the turn was over."""

    n_thrown_away: int = Field(description="Replies that were begun in vain, since the player went on")
    n_tokens_thrown_away: int
    audio_ms_thrown_away: int
    saved_ms: float = Field(description="Work on this reply, after recognition, that was done before the turn was over")


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


ServerEvent = Annotated[
    SessionReady
    | SpeechStarted
    | SpeechStopped
    | TranscriptEvent
    | PassagesEvent
    | ReplyStarted
    | WordsEvent
    | ActionEvent
    | ReplyHushed
    | ReplyResumed
    | ReplyEnded
    | TurnMetrics
    | ErrorEvent,
    Field(discriminator="type"),
]

CLIENT_EVENTS: tuple[type[Event], ...] = get_args(get_args(ClientEvent)[0])
SERVER_EVENTS: tuple[type[Event], ...] = get_args(get_args(ServerEvent)[0])

client_event: TypeAdapter[ClientEvent] = TypeAdapter(ClientEvent)
server_event: TypeAdapter[ServerEvent] = TypeAdapter(ServerEvent)
