"""Every error that a client can be told, and how a connection ends.

An error either leaves the connection open or ends it with a close code.
docs/protocol.md shows this table; a test keeps the two the same.
"""

from dataclasses import dataclass
from enum import IntEnum

from npc.errors import NpcError


class Close(IntEnum):
    """Websocket close codes that this server sends."""

    NORMAL = 1000
    GOING_AWAY = 1001
    INVALID_TEXT = 1007
    POLICY = 1008
    TOO_LARGE = 1009
    INTERNAL = 1011
    TRY_LATER = 1013
    UNAUTHORIZED = 3000


@dataclass(frozen=True, slots=True)
class Code:
    meaning: str
    closes_with: Close | None = None


CODES = {
    "start-expected": Code("the first message was not `session-start`", Close.POLICY),
    "start-timeout": Code("`session-start` did not come within `start_timeout_s`", Close.POLICY),
    "unauthorized": Code("the token is missing or wrong", Close.UNAUTHORIZED),
    "unknown-character": Code("no character has this id; the message names those that exist", Close.POLICY),
    "too-many-sessions": Code("`max_sessions` are open; try again later", Close.TRY_LATER),
    "bad-json": Code("a text frame is not JSON"),
    "bad-event": Code("a text frame is not a JSON object, or a field is missing, unknown or out of range"),
    "unknown-type": Code("no client event has this `type`; the message names those that exist"),
    "already-started": Code("a second `session-start`"),
    "unknown-action": Code("a result or progress of an action that never was"),
    "bad-scene": Code("a `scene-delta` that cannot be applied; the scene stays as it was"),
    "action-over": Code("a result or progress of an action that has ended otherwise: answered, timed out, cancelled"),
    "bad-input": Code("the event cannot be used as things stand; the message says why"),
    "bad-frame": Code("a binary frame with a wrong header or half a sample"),
    "bad-audio": Code("PCM that is not whole samples of all channels"),
    "audio-too-fast": Code("audio ran more than `max_audio_lead_s` ahead of real time", Close.POLICY),
    "too-many-events": Code("more than `max_events_per_s` events", Close.POLICY),
    "slow-client": Code("what the server sends was not read for `send_timeout_s`", Close.TRY_LATER),
    "stage-failed": Code("recognition, the language model or speech failed; the turn is over, the session goes on"),
    "model-unavailable": Code("a model cannot be used; the turn is over"),
    "bad-config": Code("a setting or a file of the server is wrong; the turn is over"),
    "bad-character": Code("the character's files are wrong; the turn is over"),
    "overloaded": Code("the server has too much to do; the turn is over"),
    "internal": Code("a bug in the server: with `turn`, the turn is over, else the connection"),
}


class Refusal(NpcError):
    """Ends a connection: the client is told `code` and `message`, then the websocket closes."""

    def __init__(self, code: str, message: str, closes_with: Close | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.closes_with = closes_with or CODES[code].closes_with or Close.POLICY
