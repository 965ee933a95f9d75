"""One name, spelled in the ways in which players type it and recognisers write it: `case 4`, `water skin`, `armor`."""

import re

_NUMBERS = {
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight",
    "9": "nine", "10": "ten", "11": "eleven", "12": "twelve", "13": "thirteen", "14": "fourteen", "15": "fifteen",
    "16": "sixteen", "17": "seventeen", "18": "eighteen", "19": "nineteen", "20": "twenty", "30": "thirty",
    "40": "forty", "50": "fifty", "60": "sixty", "70": "seventy", "80": "eighty", "90": "ninety",
}  # fmt: skip
_NUMBER = r"(?<![\w.])\d{1,2}(?![\w]|\.\d)"
_LONG = 6
"""Letters of a name that may be written apart or as one word."""


def in_words(text: str) -> str:
    """`case 4` → `case four`, single spaces."""
    return re.sub(_NUMBER, lambda match: _NUMBERS.get(match[0], match[0]), " ".join(text.split()))


def pattern(name: str) -> str:
    """A regular expression for `name` (lowercase) however it is spelled."""
    apart = "[ -]?" if len(name) >= _LONG else ""
    return (apart or "[ -]").join(apart.join(_letters(word)) for word in re.split("[ -]+", name))


def canonical(name: str) -> str:
    """One form for all that `pattern` takes."""
    return re.sub("[ -]", "", name).replace("our", "or").replace("grey", "gray")


def _letters(word: str) -> list[str]:
    if word in ("grey", "gray"):
        return ["g", "r", "[ea]", "y"]
    letters = [re.escape(letter) for letter in word]
    for ending in ("our", "or"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return [*letters[: -len(ending)], "o", "u?", "r"]
    return letters
