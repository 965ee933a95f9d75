"""Where a reply is cut so that speech can begin before the reply is written.

The first clause is cut early, because the player waits for it; later ones at
the ends of sentences, where a voice falls anyway. Pure: text in, text out.
"""

import re
from collections.abc import Iterator
from typing import Literal

Kind = Literal["sentence", "comma", "phrase", "space"]
"""How good a place is: behind a sentence, behind a comma or dash, before a linking word, between any two words."""

_LEAST_WORDS_FIRST: dict[Kind, int] = {"sentence": 1, "comma": 2, "phrase": 3, "space": 6}
_LEAST_WORDS: dict[Kind, int] = {"sentence": 3, "comma": 8, "phrase": 20, "space": 28}

_BREAK = re.compile(r"\s+(?=\S)|(?<=—)(?=[^\s—])")
_CLOSERS = "\"”’')"
_TITLE = re.compile(
    "mr|mrs|ms|dr|prof|st|mt|ft|gen|gov|sen|rep|capt|lt|col|sgt|cmdr|rev|hon|pres|supt|cpl|maj|adm|fr|msgr|vs|approx|"
    r"vol|fig|e\.g|i\.e|cf"
)
"""Abbreviations that something always follows."""
_NUMBERED = re.compile("nos?|pp?|ch|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec")
"""Abbreviations when a number follows."""
_LINKING = re.compile(
    "and|but|or|so|because|if|when|while|where|which|who|that|than|then|with|without|for|from|to|in|into|on|at|by|of|"
    "about|after|before|until|since|though|like|as"
)


class ClauseSplitter:
    """Fed a reply as it is written; what it returns joins to the reply, in order and without gaps.

    How the reply is cut does not depend on the pieces in which it arrives.
    """

    def __init__(self) -> None:
        self._text = ""
        self._least_words = _LEAST_WORDS_FIRST

    def push(self, text: str) -> list[str]:
        """The clauses that are complete now, each with the white space behind it."""
        self._text += text
        clauses: list[str] = []
        while cut := self._cut():
            clauses.append(self._text[:cut])
            self._text = self._text[cut:]
            self._least_words = _LEAST_WORDS
        return clauses

    def flush(self) -> list[str]:
        """What is left when the reply is over; the splitter is then ready for another one."""
        rest, self._text, self._least_words = self._text, "", _LEAST_WORDS_FIRST
        return [rest] if rest else []

    def _cut(self) -> int:
        for end, kind in _places(self._text):
            if _count_words(self._text[:end]) >= self._least_words[kind]:
                return end
        return 0


def wrap(text: str, max_chars: int) -> list[str]:
    """`text` in sentences, and those that are longer than `max_chars` in parts, at the best places there are."""
    parts: list[str] = []
    while text:
        places = [(end, kind) for end, kind in _places(text) if end <= max_chars]
        sentence = next((end for end, kind in places if kind == "sentence" and _count_words(text[:end]) >= 3), None)
        if sentence is None and len(text) > max_chars:
            kinds: tuple[Kind, ...] = ("sentence", "comma", "phrase", "space")
            best = (end for wanted in kinds for end, kind in reversed(places) if kind == wanted)
            sentence = next(best, max_chars)
        parts.append(text[:sentence])
        text = text[len(parts[-1]) :]
    return parts


def _places(text: str) -> Iterator[tuple[int, Kind]]:
    """Where `text` could be cut, in order. White space belongs to what is before it.

    Whether a place is one is known once the first character behind its white space is there.
    """
    for space in _BREAK.finditer(text):
        before, next_word = text[: space.start()], text[space.end() :]
        if not before.strip() or next_word[0] in ".,;:!?…":
            continue
        kind = _kind(before, next_word)
        if kind is None or _is_within_quotes(before):
            yield space.end(), "space"
        else:
            yield space.end(), "sentence" if "\n" in space.group() else kind


def _kind(before: str, next_word: str) -> Kind | None:
    last = before.split()[-1].rstrip(_CLOSERS)
    if not last:
        return None
    if last.endswith((".", "!", "?", "…")):
        if last.endswith(".") and not last.endswith("..") and _is_abbreviation(last, next_word[0]):
            return None
        return "comma" if next_word[0].islower() else "sentence"
    if last.endswith((",", ";", ":", "—", "–", "-")):
        return "comma"
    match = re.match(r"(\w+)\s", next_word)  # the whole word must have arrived
    return "phrase" if match and _LINKING.fullmatch(match.group(1).lower()) else "space"


def _is_abbreviation(word: str, following: str) -> bool:
    stem = word.lstrip("\"“‘'(")[:-1]
    if _TITLE.fullmatch(stem.lower()):
        return True
    if _NUMBERED.fullmatch(stem.lower()):
        return following.isdigit()
    is_initial = len(stem) == 1 and stem.isupper() and stem != "I"
    return is_initial or ("." in stem and following.islower())


def _is_within_quotes(text: str) -> bool:
    return text.count('"') % 2 == 1 or text.count("“") > text.count("”")


def _count_words(text: str) -> int:
    return sum(any(c.isalnum() for c in chunk) for chunk in text.split())
