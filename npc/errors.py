"""Every error that the engine raises on purpose.

NpcError
├── ConfigError        settings, character or action files: what was found, where, what would be right
│   └── CharacterError one or many mistakes in a character's files, each with file and line
├── ModelError         weights: missing, wrong checksum, no network, disk full, wrong format
├── InputError         what a client or player sent cannot be used; the session goes on
├── StageError         a stage (recognition, language model, speech) failed; the turn ends, not the session
└── OverloadError      a limit was reached: sessions, queue, rate

A message says what was found, where, and what would be right. `code` is the
word that clients see in an `error` event (docs/protocol.md lists them).
"""


class NpcError(Exception):
    code = "internal"


class ConfigError(NpcError):
    code = "bad-config"


class CharacterError(ConfigError):
    code = "bad-character"


class ModelError(NpcError):
    code = "model-unavailable"


class InputError(NpcError):
    """`code` may be set by the raiser to say which rule was broken."""

    code = "bad-input"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class StageError(NpcError):
    code = "stage-failed"

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage


class OverloadError(NpcError):
    code = "overloaded"
