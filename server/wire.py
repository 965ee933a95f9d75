"""What clients send, read: text frames to events, binary frames to audio.

Every mistake becomes an InputError whose message tells the author of a client
what was found and what would be right.
"""

from pydantic import ValidationError
from pydantic_core import from_json

from npc.errors import InputError
from npc.events import CLIENT_EVENTS, AudioInput, ClientEvent, client_event
from npc.explain import explain, nearest_first, shown
from npc.frames import MICROPHONE, AudioFrame

_EVENTS = {event.model_fields["type"].default: event for event in CLIENT_EVENTS}


def read_event(text: str) -> ClientEvent:
    """Raises InputError: `bad-json`, `bad-event` or `unknown-type`."""
    try:
        found = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InputError(f"this text frame is not JSON: {error}; it begins {shown(text)}", "bad-json") from None
    if not isinstance(found, dict):
        raise InputError(f"an event is a JSON object with a 'type'; found {shown(found)}", "bad-event")
    kind = found.get("type")
    event = _EVENTS.get(kind) if isinstance(kind, str) else None
    if event is None:
        what = f"'type' is {shown(kind)}" if "type" in found else "'type' is missing"
        raise InputError(f"{what}; known types are {nearest_first(str(kind), _EVENTS)}", "unknown-type")
    try:
        return client_event.validate_python(found)
    except ValidationError as error:
        raise InputError(f"{kind}: {explain(error, event, n_skipped=1)}", "bad-event") from None


def read_audio(data: bytes, audio: AudioInput) -> bytes:
    """The PCM of a microphone's frame. Raises InputError: `bad-frame` or `bad-audio`."""
    frame = AudioFrame.unpack(data)
    if frame.kind != MICROPHONE:
        raise InputError(f"binary frame of kind {frame.kind} from a client; send kind 1 (microphone)", "bad-frame")
    if len(frame.pcm) % (2 * audio.channels):
        raise InputError(
            f"{len(frame.pcm)} bytes of PCM are not whole samples of {audio.channels} channels; "
            f"send a multiple of {2 * audio.channels} bytes",
            "bad-audio",
        )
    return frame.pcm
