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

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """What a writer got wrong in a file, and where; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class NpcError(Exception):
    code = "internal"


class ConfigError(NpcError):
    """`mistakes` holds every one that was found, where the cause is a file that people write."""

    code = "bad-config"

    def __init__(self, message: str = "", mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__(message or "\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


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
