"""The values that pass between the stages of a turn.

All are frozen. Audio is float32 in [-1, 1], mono, shape [n]; its rate is
always named beside it. `sample` positions count from the reply's first sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

HEARING_RATE_HZ = 16_000
"""The rate that voice activity, turn detection and recognition work at."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the recogniser made of one utterance, or of its beginning."""

    text: str
    is_final: bool
    audio_ms: float
    mean_logprob: float = 0.0
    no_speech_prob: float = 0.0
    window: Literal["utterance", "full"] = "utterance"
    """`full` when the trimmed encoder was not trusted and the 30 s window was run."""
    stable: str = ""
    """The beginning of `text` that will hardly change any more; all of it in a final."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a character's knowledge; `file` is relative to the character's folder."""

    text: str
    file: str
    heading: str
    score: float = 0.0
    """How well it matched what was asked: cosine similarity plus the weighted share of words; 0 before a search."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the language model chooses. `temperature` 0 is greedy; equal seeds give equal replies."""

    temperature: float = 0.3
    top_p: float = 0.9
    top_k: int = 0
    repetition_penalty: float = 1.1
    max_tokens: int = 96
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a reply may be, in the two notations that our engines read.

    `lark` is llguidance's Lark dialect (in process, vLLM, SGLang); `gbnf` is
    llama.cpp's. Both describe the same language.
    """

    lark: str
    gbnf: str


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Newly written text; pieces join to the reply without gaps."""

    text: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class GenerationEnd:
    """The last thing that a language model yields."""

    reason: Literal["stop", "length"]
    n_prompt_tokens: int
    n_cached_tokens: int
    n_generated_tokens: int
    prefill_ms: float
    decode_ms: float
    n_steps: int = 0
    """Passes of the network, the prompt's included; 0 where the engine does not tell."""
    n_drafted_tokens: int = 0
    n_accepted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ActionCall:
    """A call that the grammar allowed: arguments are legal in the scene it was made in."""

    id: str
    name: str
    args: Mapping[str, Any]  # JSON scalars: each action declares its own parameters


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class Phoneme:
    """`symbol` is one of the synthesiser's alphabet (misaki's for English voices)."""

    symbol: str
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class Speech:
    """Audio of a clause, or of a part of one. Times count from this audio's first sample."""

    text: str
    audio: Samples
    rate_hz: int
    words: tuple[Word, ...] = ()
    phonemes: tuple[Phoneme, ...] = ()


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as a character wears it. `name` is one that the synthesiser offers."""

    name: str
    speed: float = 1.0
    pitch: float = 1.0
    """Multiplies the fundamental frequency of the named voice."""
    formant: float = 1.0
    """Multiplies the formant frequencies: below 1 a longer vocal tract, above 1 a shorter one."""


@dataclass(frozen=True, slots=True)
class Span:
    """One stage of a turn on the latency clock, relative to the player's last speech sample."""

    name: str
    start_ms: float
    end_ms: float
    attributes: Mapping[str, Any] = field(default_factory=dict)  # JSON scalars, shown in reports

    @property
    def duration_ms(self) -> float:
        return self.end_ms - self.start_ms
