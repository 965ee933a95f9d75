"""What the server says of a reply: its words, its deeds, and how far it was heard."""

from typing import Any, Literal

from pydantic import Field

from npc.events.base import Event, Sample, Turn


class ReplyStarted(Event):
    """The character answers: words and audio follow."""

    type: Literal["reply-started"] = "reply-started"
    turn: Turn


class TimedWord(Event):
    text: str
    sample: Sample
    end_sample: Sample


class TimedPhoneme(Event):
    symbol: str
    sample: Sample
    end_sample: Sample


class WordsEvent(Event):
    """A clause of the reply and when its words and phonemes are heard; sent just before its audio."""

    type: Literal["words"] = "words"
    turn: Turn
    sample: Sample
    text: str
    words: tuple[TimedWord, ...]
    phonemes: tuple[TimedPhoneme, ...]


class ActionEvent(Event):
    """The character does something when the reply's audio reaches `sample`."""

    type: Literal["action"] = "action"
    turn: Turn
    sample: Sample
    id: str
    name: str
    args: dict[str, Any]  # JSON scalars; each action declares its own
    awaited: bool = Field(default=False, description="The character waits for the result before it speaks on")


class ActionCommitted(Event):
    """Playback has reached the action: it is the game's now."""

    type: Literal["action-committed"] = "action-committed"
    turn: Turn
    id: str


class ActionCancelled(Event):
    """The action was called off before it was committed: it will not be."""

    type: Literal["action-cancelled"] = "action-cancelled"
    turn: Turn
    id: str
    reason: str


class ActionStop(Event):
    """An action that was committed is to be broken off; the game still answers what became of it."""

    type: Literal["action-stop"] = "action-stop"
    turn: Turn
    id: str
    reason: str


class ReplyHushed(Event):
    """The player makes a sound: hold the reply's audio where it is, until `reply-resumed` or `reply-ended`."""

    type: Literal["reply-hushed"] = "reply-hushed"
    turn: Turn
    sample: Sample


class ReplyResumed(Event):
    """It was nothing: play on."""

    type: Literal["reply-resumed"] = "reply-resumed"
    turn: Turn


class ReplyEnded(Event):
    """The reply is over for the ear: it was played to its end (as reported, or in real time), or broken off.

    After `interrupted` and `failed`, drop what is not yet played. The last audio
    frame of a reply is flagged; it may arrive long before this event.
    """

    type: Literal["reply-ended"] = "reply-ended"
    turn: Turn
    reason: Literal["done", "interrupted", "failed"]
    text: str = Field(description="What was said; after an interruption, what was heard of it")
    n_samples: int
    continued: bool = Field(
        default=False,
        description="The player went on before anything of it was heard: the next turn takes up the whole of it",
    )
