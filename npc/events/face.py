"""What shows on a character: mouth, feelings, gestures and looks."""

from typing import Annotated, Literal

from pydantic import Field

from npc.events.base import Event, Sample, Turn

Gauge = Annotated[int, Field(ge=-100, le=100)]


class ReactionEvent(Event):
    """The player may have finished: the character shows at once that it listens. It has no words and no sample."""

    type: Literal["reaction"] = "reaction"
    turn: Turn
    name: Literal["gaze", "nod", "breath"]


class TimedViseme(Event):
    viseme: str = Field(description="One of the fifteen of Oculus Lipsync")
    sample: Sample
    peak_sample: Sample
    end_sample: Sample
    weight: float


class Blendshapes(Event):
    """ARKit's 52, 60 frames a second; frame n of the reply lies at sample n * rate_hz / 60."""

    first_frame: int
    n_frames: int
    data: str = Field(description="Base64 of 52 bytes a frame, 255 for 1, in Apple's order")


class FaceEvent(Event):
    """The face during a clause; sent before the clause's audio."""

    type: Literal["face"] = "face"
    turn: Turn
    sample: Sample
    visemes: tuple[TimedViseme, ...] = ()
    blendshapes: Blendshapes | None = None


class EmotionEvent(Event):
    """From this sample on the character shows an emotion."""

    type: Literal["emotion"] = "emotion"
    turn: Turn
    sample: Sample
    name: str
    strength: float


class GestureEvent(Event):
    """The character makes a gesture at this sample."""

    type: Literal["gesture"] = "gesture"
    turn: Turn
    sample: Sample
    name: str


class GazeEvent(Event):
    """From this sample on the character looks at somebody or something."""

    type: Literal["gaze"] = "gaze"
    turn: Turn
    sample: Sample
    target: str = Field(description="An id of the scene, or `player`")


class FeelingEvent(Event):
    """How the character feels now; sent when it has changed."""

    type: Literal["feeling"] = "feeling"
    turn: Turn
    mood: Gauge
    arousal: Gauge
    regard: Gauge = Field(description="For this player")
