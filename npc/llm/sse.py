"""Server-sent events of an OpenAI-compatible stream: lines in, JSON objects out. No I/O."""

import json
from typing import Any, Literal

from npc.errors import StageError

_STAGE = "language model"


def read_line(line: str) -> dict[str, Any] | Literal["done"] | None:  # a JSON object of the endpoint's making
    """The object that `line` carries, 'done' for the end of the stream, None for a line that carries nothing.

    Raises StageError for a line that is no event, and with the server's words for an event that reports an error.
    """
    if not line or line.startswith((":", "event:", "id:", "retry:")):
        return None
    field, colon, data = line.partition(":")
    data = data.strip()
    if field == "error" and colon:  # llama.cpp's way of failing in mid-stream
        raise StageError(_STAGE, f"the endpoint failed: {server_message(data)}")
    if field != "data" or not colon:
        raise StageError(_STAGE, f"the endpoint sent {line[:80]!r}, which is no server-sent event")
    if data == "[DONE]":
        return "done"
    try:
        event = json.loads(data)
    except ValueError as error:
        raise StageError(_STAGE, f"the endpoint sent an event that is not JSON: {data[:80]!r}") from error
    if not isinstance(event, dict):
        raise StageError(_STAGE, f"the endpoint sent {data[:80]!r} where an object was expected")
    if event.get("error"):
        raise StageError(_STAGE, f"the endpoint failed: {server_message(data)}")
    return event


def server_message(body: str) -> str:
    """What the server says is wrong, in at most 300 characters."""
    try:
        value = json.loads(body)
    except ValueError:
        return body.strip()[:300] or "no message"
    if isinstance(value, dict):
        value = value.get("error", value)
    if isinstance(value, dict):
        value = value.get("message", value)
    return str(value)[:300]
