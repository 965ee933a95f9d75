"""What of a text can be spoken: the visible words, each with the plain characters that the reader is given.

A reply may hold anything: emoji, control characters, other scripts, markup.
Only ASCII letters, digits and a few signs come through, so that nothing in a
text can steer the synthesiser (its own link syntax needs square brackets).
"""

import re
import unicodedata
from dataclasses import dataclass

_PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "đ": "d", "Đ": "D", "ł": "l", "Ł": "L"}
    | {"þ": "th", "Þ": "Th", "ð": "th", "Ð": "Th", "ı": "i", "…": "...", "。": ".", "、": ","}
    | dict.fromkeys("’‘ʼ`´", "'")
    | dict.fromkeys("–―", "—")
    | dict.fromkeys("‐‑‒−", "-")
)
_UNSAYABLE = re.compile(r"[^A-Za-z0-9.,;:!?—'()$£€¥%&@#+=/°-]+")
_REPEATED_SIGN = re.compile(r"([^A-Za-z0-9])\1+")
_SOUNDING = re.compile(r"[A-Za-z0-9$£€¥%&@#+=]")
_PAUSE = re.compile(r"[.,;:!?—]")
_ABBREVIATION_LOOKALIKE = re.compile(r"\(?(?:no|nos|Sun|Sat|Mon|Wed|Mar|Jan|fig|est|ed|ch)\.$", re.IGNORECASE)
"""Words at the end of a sentence that the reader would expand ("Oh no." → "Oh number.")."""
_MAX_WORD = 60
"""Characters of one word that are read; a longer one is no word that anybody says."""
_MAX_DIGITS = 15
"""Digits of one number that are read; names of numbers end soon after."""


@dataclass(frozen=True, slots=True)
class SayableWord:
    """`visible` is how the text spells it, with its punctuation; `spoken` is what the reader gets of it.

    Nothing of a word in a script that the voice cannot read is spoken.
    """

    visible: str
    spoken: str


def sayable_words(text: str) -> list[SayableWord]:
    """The words of `text`, in order; of what stands between them only pauses remain."""
    words: list[SayableWord] = []
    for chunk in text.split():
        visible, spoken = "".join(c for c in chunk if c.isprintable()), _plain(chunk)
        previous = words[-1].spoken if words else ""
        if _SOUNDING.search(spoken):
            if spoken[0].isdigit() and previous.endswith(" ."):  # "no. 5" is an abbreviation after all
                words[-1] = SayableWord(words[-1].visible, previous.replace(" .", "."))
            words.append(SayableWord(visible, spoken))
        elif any(c.isalnum() for c in visible):
            words.append(SayableWord(visible, ""))
        elif previous and (pause := _PAUSE.search(spoken)) and not _PAUSE.match(previous[-1]):
            words[-1] = SayableWord(words[-1].visible, previous + pause.group())
    return words


def _plain(chunk: str) -> str:
    text = unicodedata.normalize("NFKD", chunk.translate(_PLAIN)).translate(_PLAIN)
    text = _UNSAYABLE.sub("", text)
    text = _REPEATED_SIGN.sub(lambda run: "..." if run.group().startswith("..") else run.group(1), text)
    text = re.sub(rf"(\d{{{_MAX_DIGITS}}})\d+", r"\1", text)
    if len(text) > _MAX_WORD:
        text = text[:_MAX_WORD] + (text[-1] if _PAUSE.match(text[-1]) else "")
    if _ABBREVIATION_LOOKALIKE.match(text):
        text = text[:-1] + " ."
    return text
