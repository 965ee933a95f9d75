"""What the engine asks of each stage. A stage needs no base class: these are protocols.

Real ones live in `npc.asr`, `npc.knowledge`, `npc.llm`, `npc.tts` and
`npc.turntaking`; scripted ones for tests in `npc.testing`.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from npc.demand import Demand
from npc.turn import (
    ChatMessage,
    GenerationEnd,
    Grammar,
    Passage,
    Samples,
    Sampling,
    Speech,
    TextPiece,
    Transcript,
    Voice,
)

T = TypeVar("T")


class VoiceActivityStream(Protocol):
    """The voice activity of one microphone."""

    async def push(self, frame: Samples) -> float:
        """Probability of speech in `frame`, [512] at 16 kHz (32 ms). Frames arrive in order."""
        ...

    def reset(self) -> None: ...


class VoiceActivity(Protocol):
    def open(self) -> VoiceActivityStream: ...


class EndOfTurn(Protocol):
    async def probability(self, audio: Samples) -> float:
        """That the speaker has finished, 0 to 1, by how it sounds; `audio` [n] at 16 kHz, the whole utterance."""
        ...


class Recogniser(Protocol):
    async def transcribe(self, audio: Samples, *, is_final: bool, around: Sequence[str] = ()) -> Transcript:
        """Words in `audio`, [n] at 16 kHz. Finals go before partials. Silence gives an empty text.

        `around`: names that are likelier here than elsewhere, the likeliest first.
        """
        ...


class Retriever(Protocol):
    """Looks things up in what one character knows."""

    async def retrieve(self, query: str, n: int, context: str = "") -> tuple[Passage, ...]:
        """At most `n` passages, best first; none where nothing is near enough.

        `context` is the player's previous utterance, for questions such as "and how deep is it?".
        """
        ...


class LanguageModel(Protocol):
    async def prefill(self, messages: Sequence[ChatMessage]) -> int:
        """Read `messages` into the cache ahead of need; the number of tokens that were new."""
        ...

    def generate(
        self, messages: Sequence[ChatMessage], sampling: Sampling, grammar: Grammar | None = None
    ) -> AsyncGenerator[TextPiece | GenerationEnd, None]:
        """Write the assistant's next message. Closing the generator stops the work within one step.

        Raises StageError when the model or its endpoint fails; GenerationEnd comes last, once.
        """
        ...


class Synthesiser(Protocol):
    @property
    def rate_hz(self) -> int: ...

    @property
    def voices(self) -> Mapping[str, str]:
        """Names that `Voice.name` may have, each with a line that describes how it sounds."""
        ...

    def speak(self, text: str, voice: Voice) -> AsyncGenerator[Speech, None]:
        """Speak one clause, in one or more parts. Text with nothing to say yields nothing."""
        ...


class Thought(Protocol):
    """Where small work of numpy and plain Python is done, so that the event loop is not held up."""

    async def run(self, job: Callable[[], T]) -> T: ...


class Inline:
    """At once, on the event loop: for tests on virtual time."""

    async def run(self, job: Callable[[], T]) -> T:
        return job()


@dataclass(frozen=True, slots=True)
class Stages:
    """One set of models, shared by all sessions. (Retrieval belongs to a character: `npc.mind`.)"""

    voice_activity: VoiceActivity
    recogniser: Recogniser
    llm: LanguageModel
    synthesiser: Synthesiser
    end_of_turn: EndOfTurn | None = None
    thought: Thought = field(default_factory=Inline)
    demand: Demand = field(default_factory=Demand)
    cleaning: Thought = field(default_factory=Inline)
    """Where microphones are rid of echo."""
