"""What a session hears and says: the wire vocabulary of `npc.v1`.

Text frames carry one event each, as JSON with a `type`. Events that belong to
a reply carry its `turn`, and those with a place in its speech the `sample` at
which it happens. Speech travels in binary frames (`npc.frames`). The JSON
schema in clients/ is generated from these files; docs/protocol.md explains it.
"""

from typing import Annotated, get_args

from pydantic import Field, TypeAdapter

from npc.events.base import PROTOCOL, Event
from npc.events.client import (
    ActionProgress,
    ActionResult,
    AudioInput,
    FaceChoice,
    Interrupt,
    Playback,
    PlayerText,
    SceneDeltaEvent,
    SceneUpdate,
    SessionEnd,
    SessionStart,
    SpeechEnd,
    SpeechStart,
)
from npc.events.face import (
    Blendshapes,
    EmotionEvent,
    FaceEvent,
    FeelingEvent,
    GazeEvent,
    GestureEvent,
    ReactionEvent,
    TimedViseme,
)
from npc.events.reply import (
    ActionCancelled,
    ActionCommitted,
    ActionEvent,
    ActionStop,
    ReplyEnded,
    ReplyHushed,
    ReplyResumed,
    ReplyStarted,
    TimedPhoneme,
    TimedWord,
    WordsEvent,
)
from npc.events.server import (
    ErrorEvent,
    PassagesEvent,
    PassageUsed,
    SessionReady,
    SpanReport,
    Speculation,
    SpeechStarted,
    SpeechStopped,
    TranscriptEvent,
    TurnMetrics,
)

ClientEvent = Annotated[
    SessionStart
    | PlayerText
    | SpeechStart
    | SpeechEnd
    | SceneUpdate
    | SceneDeltaEvent
    | ActionResult
    | ActionProgress
    | Playback
    | Interrupt
    | SessionEnd,
    Field(discriminator="type"),
]

ServerEvent = Annotated[
    SessionReady
    | SpeechStarted
    | SpeechStopped
    | ReactionEvent
    | TranscriptEvent
    | PassagesEvent
    | ReplyStarted
    | FeelingEvent
    | WordsEvent
    | FaceEvent
    | EmotionEvent
    | GestureEvent
    | GazeEvent
    | ActionEvent
    | ActionCommitted
    | ActionCancelled
    | ActionStop
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

__all__ = [
    "CLIENT_EVENTS",
    "PROTOCOL",
    "SERVER_EVENTS",
    "ActionCancelled",
    "ActionCommitted",
    "ActionEvent",
    "ActionProgress",
    "ActionResult",
    "ActionStop",
    "AudioInput",
    "Blendshapes",
    "ClientEvent",
    "EmotionEvent",
    "ErrorEvent",
    "Event",
    "FaceChoice",
    "FaceEvent",
    "FeelingEvent",
    "GazeEvent",
    "GestureEvent",
    "Interrupt",
    "PassageUsed",
    "PassagesEvent",
    "Playback",
    "PlayerText",
    "ReactionEvent",
    "ReplyEnded",
    "ReplyHushed",
    "ReplyResumed",
    "ReplyStarted",
    "SceneDeltaEvent",
    "SceneUpdate",
    "ServerEvent",
    "SessionEnd",
    "SessionReady",
    "SessionStart",
    "SpanReport",
    "Speculation",
    "SpeechEnd",
    "SpeechStart",
    "SpeechStarted",
    "SpeechStopped",
    "TimedPhoneme",
    "TimedViseme",
    "TimedWord",
    "TranscriptEvent",
    "TurnMetrics",
    "WordsEvent",
    "client_event",
    "server_event",
]
