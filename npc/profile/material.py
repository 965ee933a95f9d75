"""Spoken questions for the characters that ship: what the demo plays and `npc profile` measures with."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "speech"


@dataclass(frozen=True, slots=True)
class SpokenQuestion:
    """`file` is 16 kHz mono; its last sample is the last that can be heard."""

    file: Path
    character: str
    words: str


@lru_cache
def spoken_questions() -> tuple[SpokenQuestion, ...]:
    """Those that ship, the demo's first."""
    listed = tomllib.loads((FOLDER / "questions.toml").read_text(encoding="utf-8"))["question"]
    return tuple(SpokenQuestion(FOLDER / each["file"], each["character"], each["words"]) for each in listed)
