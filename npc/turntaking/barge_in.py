"""Somebody makes a sound while the character speaks: interrupt, fall silent for a moment, or speak on?

Pure. Falling silent costs nothing that cannot be taken back, so it happens as soon as it
may be a voice (`npc.turntaking.onset`), and is taken back when it was none. Whether the
reply is broken off is decided by the words once they are known, and without words by how
long the voice lasts: "mm-hm" and a cough are short. The character's own echo is none of
this: `npc.audio.echo` takes it out before.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from npc.config import TurnTaking

Reaction = Literal["go-on", "hush", "interrupt"]

BACKCHANNEL_MS: Final = 700
"""A voice that lasts longer says more than "mm-hm"."""
OVER_MS: Final = 250
"""A shorter silence lies between two words, or within one: a reply that is taken up in it stumbles."""
MAX_BACKCHANNEL_WORDS: Final = 3
_AGREEING: Final = "ok okay yeah yep yes yup right sure good great nice wow cool really indeed exactly alright i see"
_HUMMING: Final = "mm mmm mhm hm hmm huh uh uhm um ah aha oh ooh haha ha ugh ahem"
_BACKCHANNEL: Final = frozenset((*_AGREEING.split(), *_HUMMING.split()))
_NOT_SPEECH: Final = re.compile(r"\([^)]*\)|\[[^]]*\]|\*[^*]*\*")
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Overlap:
    """A voice over a reply."""

    speech_ms: float
    """From its first sound to its last."""
    silence_ms: float = 0.0
    """Since its last sound."""
    transcript: str | None = None
    """What was recognised of it so far; None while nothing was tried."""
    onset_ms: float = 0.0
    """How long there have been signs of a voice; counts while it is not sure that there is one."""


def react(overlap: Overlap, settings: TurnTaking) -> Reaction:
    """What the character does, as things stand; asked again whenever `overlap` changes.

    `go-on` after `hush` takes the reply up where it fell silent.
    """
    if overlap.speech_ms < settings.barge_in_ms:
        return "hush" if overlap.onset_ms >= settings.barge_in_ms else "go-on"
    is_over = overlap.silence_ms >= OVER_MS
    if overlap.transcript is not None and _words(overlap.transcript):
        if not is_backchannel(overlap.transcript):
            return "interrupt"
        return "go-on" if is_over else "hush"
    if is_over:
        # It is over before its words are known: too short to be a sentence, or no speech at all.
        return "go-on" if overlap.transcript is not None or overlap.speech_ms < BACKCHANNEL_MS else "interrupt"
    return "interrupt" if overlap.speech_ms >= BACKCHANNEL_MS else "hush"


def is_backchannel(transcript: str) -> bool:
    """ "Mm-hm", "okay", "(coughs)": said to be heard listening. Nothing at all counts, too."""
    words = _words(transcript)
    return len(words) <= MAX_BACKCHANNEL_WORDS and all(word in _BACKCHANNEL for word in words)


def _words(transcript: str) -> list[str]:
    # Whisper writes what is no speech in brackets or between asterisks.
    return _WORD.findall(_NOT_SPEECH.sub(" ", transcript.lower().replace("’", "'")).replace("-", " "))
