"""The characters of a spoken reply, for the grammar and the parser alike.

A reply is one paragraph that a synthesiser reads aloud: no line breaks, no
Markdown, no brackets but those of a call, no pictographs. Sets of characters
are sorted ranges of code points, both ends included, because that is what
both grammar notations can state.
"""

from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]

_LAST = 0x10FFFF


def union(*sets: Ranges) -> Ranges:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(pair for ranges in sets for pair in ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    gaps: list[tuple[int, int]] = []
    start = 0
    for first, last in union(ranges):
        if first > start:
            gaps.append((start, first - 1))
        start = last + 1
    return (*gaps, (start, _LAST)) if start <= _LAST else tuple(gaps)


def minus(ranges: Ranges, *sets: Ranges) -> Ranges:
    return complement(union(complement(ranges), *sets))


def of(characters: Iterable[str]) -> Ranges:
    return union(tuple((ord(character), ord(character)) for character in characters))


def is_in(character: str, ranges: Ranges) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in ranges)


MARKUP = "[]<>{}*`#|\\^~_="
"""Belongs to calls, chat templates and Markdown; never spoken."""

SPEAKABLE = complement(
    union(
        of(MARKUP),
        (
            (0x00, 0x20),  # controls, and the space, which stands alone between words
            (0x7F, 0xA0),
            (0xAD, 0xAD),
            (0x1680, 0x1680),  # other blanks and invisible marks
            (0x2000, 0x200B),
            (0x2028, 0x202F),
            (0x205F, 0x206F),
            (0x3000, 0x3000),
            (0xD800, 0xF8FF),  # surrogates, private use
            (0xFE00, 0xFE0F),
            (0xFEFF, 0xFEFF),
            (0xFFF0, 0xFFFF),
            (0x2600, 0x27BF),  # pictographs
            (0x1F000, 0x1FAFF),
            (0xE0000, _LAST),
        ),
    )
)

PUNCTUATION = minus(
    ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xBF), (0x2010, 0x205E), (0x3001, 0x303F)),
    complement(SPEAKABLE),
)
SOUNDING = minus(SPEAKABLE, PUNCTUATION)
"""Letters and digits of any script: what makes a reply audible."""

SENTENCE_END = of(".!?…。")
QUOTABLE = minus(SPEAKABLE, of('"'))
"""What a string argument is made of, beside the space."""
