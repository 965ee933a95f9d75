"""What clients send, read: text frames to events, binary frames to audio.

Every mistake becomes an InputError whose message tells the author of a client
what was found and what would be right.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from npc.errors import InputError
from npc.events import CLIENT_EVENTS, AudioInput, ClientEvent, client_event
from npc.frames import MICROPHONE, AudioFrame

_EVENTS = {event.model_fields["type"].default: event for event in CLIENT_EVENTS}
MAX_SHOWN = 3
"""Mistakes named in one message."""


def read_event(text: str) -> ClientEvent:
    """Raises InputError: `bad-json`, `bad-event` or `unknown-type`."""
    try:
        found = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InputError(f"this text frame is not JSON: {error}; it begins {_shown(text)}", "bad-json") from None
    if not isinstance(found, dict):
        raise InputError(f"an event is a JSON object with a 'type'; found {_shown(found)}", "bad-event")
    kind = found.get("type")
    event = _EVENTS.get(kind) if isinstance(kind, str) else None
    if event is None:
        what = f"'type' is {_shown(kind)}" if "type" in found else "'type' is missing"
        raise InputError(f"{what}; known types are {_nearest_first(str(kind), _EVENTS)}", "unknown-type")
    try:
        return client_event.validate_python(found)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        told = [_explain(mistake, list(event.model_fields)) for mistake in mistakes[:MAX_SHOWN]]
        if len(mistakes) > MAX_SHOWN:
            told.append(f"and {len(mistakes) - MAX_SHOWN} more")
        raise InputError(f"{kind}: {'; '.join(told)}", "bad-event") from None


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


def _explain(mistake: ErrorDetails, fields: list[str]) -> str:
    """One mistake in a line: the field, what was found, what would be right."""
    loc = mistake["loc"][1:]  # the first is the event's type
    path = ".".join(str(part) for part in loc)
    context = mistake.get("ctx", {})
    match mistake["type"]:
        case "missing":
            return f"'{path}' is missing"
        case "extra_forbidden":
            known = f"; known fields are {_nearest_first(path, fields)}" if len(loc) == 1 else ""
            return f"'{path}' is not a field{known}"
        case "literal_error":
            return f"'{path}' is {_shown(mistake['input'])}; use {context['expected']}"
        case "value_error":
            return f"'{path}': {context['error']}" if path else str(context["error"])
        case _:
            rule = mistake["msg"]
            return f"'{path}' is {_shown(mistake['input'])}; {rule[0].lower()}{rule[1:]}"


def _nearest_first(found: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(found, names, n=3, cutoff=0.5)
    return ", ".join([*near, *(name for name in names if name not in near)])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
