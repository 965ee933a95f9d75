"""Everything that arrived for one turn, gathered from its events."""

from dataclasses import dataclass, field
from typing import Literal

from npc.events import (
    ActionCancelled,
    ActionCommitted,
    ActionEvent,
    EmotionEvent,
    ErrorEvent,
    FaceEvent,
    GazeEvent,
    GestureEvent,
    PassagesEvent,
    PassageUsed,
    ReplyEnded,
    ServerEvent,
    TranscriptEvent,
    TurnMetrics,
    WordsEvent,
)
from npc.frames import AudioFrame, from_pcm
from npc.turn import Samples


@dataclass(slots=True)
class Reply:
    """Feed it every event with `add`; it keeps those of the first turn that it sees after `after_turn`."""

    rate_hz: int
    """Of `audio`."""
    after_turn: int = 0
    turn: int | None = None
    transcript: str = ""
    """What the player said; empty where it was typed."""
    text: str = ""
    """What the character says; once over, what was heard of it, with its calls."""
    clauses: list[WordsEvent] = field(default_factory=list)
    actions: list[ActionEvent] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    """Ids of the actions that playback has reached."""
    cancelled: list[str] = field(default_factory=list)
    faces: list[FaceEvent] = field(default_factory=list)
    shown: list[EmotionEvent | GestureEvent | GazeEvent] = field(default_factory=list)
    passages: tuple[PassageUsed, ...] = ()
    metrics: TurnMetrics | None = None
    error: ErrorEvent | None = None
    ending: Literal["done", "interrupted", "failed", "unanswered"] | None = None
    is_continued: bool = False
    """The player went on before anything of it was heard: the next reply answers to everything."""
    _pcm: bytearray = field(default_factory=bytearray)
    _has_all_audio: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it was played to its end, was broken off, failed, or nothing was heard that could be answered."""
        return self.ending is not None

    @property
    def is_received(self) -> bool:
        """Whether everything that the character will say is here; it may still be playing."""
        return self.is_over or (self.metrics is not None and (self._has_all_audio or not self._pcm))

    @property
    def audio(self) -> Samples:
        """What has arrived so far, float32 [n] at `rate_hz`."""
        return from_pcm(bytes(self._pcm))

    @property
    def pcm(self) -> bytes:
        """The same as 16-bit little-endian mono."""
        return bytes(self._pcm)

    def add(self, event: ServerEvent | AudioFrame) -> None:
        turn = getattr(event, "turn", None)
        if turn is None:
            return
        if self.turn is None and turn > self.after_turn:
            self.turn = turn
        if turn != self.turn:
            return
        match event:
            case AudioFrame(pcm=pcm, is_last=is_last):
                self._pcm += pcm
                self._has_all_audio = is_last
            case TranscriptEvent(text=text, is_final=is_final):
                self.transcript = text
                if is_final and not text:
                    self.ending = "unanswered"
            case PassagesEvent(passages=passages):
                self.passages = passages
            case WordsEvent(text=text):
                self.clauses.append(event)
                self.text = f"{self.text} {text}".strip()
            case ActionEvent():
                self.actions.append(event)
            case ActionCommitted(id=action):
                self.committed.append(action)
            case ActionCancelled(id=action):
                self.cancelled.append(action)
            case FaceEvent():
                self.faces.append(event)
            case EmotionEvent() | GestureEvent() | GazeEvent():
                self.shown.append(event)
            case TurnMetrics():
                self.metrics = event
            case ErrorEvent():
                self.error = event
            case ReplyEnded(reason=reason, text=text, continued=continued):
                self.text = text
                self.ending = reason
                self.is_continued = continued
            case _:
                pass
