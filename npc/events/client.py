"""What a client says."""

from typing import Annotated, Literal

from pydantic import Field

from npc.events.base import Event, Sample, Turn
from npc.world import Scene, SceneDelta

FaceChoice = Literal["none", "visemes", "blendshapes", "both"]


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
    resume: str | None = Field(default=None, description="The id of a session that was lost, to take it up again")
    face: FaceChoice = Field(default="none", description="What `face` events hold; with `none` there are none")


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


class ActionProgress(Event):
    """A long action is under way; its time-out begins anew."""

    type: Literal["action-progress"] = "action-progress"
    action: str
    progress: Annotated[float, Field(ge=0, le=1)]


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
