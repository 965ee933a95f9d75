"""What the recogniser hears instead: mistakes learnt from pairs of what was spoken and what it made of that.

`npc train mishear` speaks authored utterances in many voices, with noise and
by telephone, lets the engine's own recogniser listen, and keeps every pair
that differs (data/heard.tsv). Both texts are aligned here; what was confused,
one to three words at a time, is done to other utterances, together with the
recogniser's ways of writing. Words that no pair has are confused with words
that sound alike (data/sounds.json, by pronunciation). Data can so be made
noisy without any audio.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from random import Random

from npc.errors import ConfigError
from npc.evaluate import checks

LONGEST = 3
"""Words that are confused together."""
UNDERSTOOD = 0.45
"""Share of words that must be right for a pair to teach: of less, nothing can be aligned."""

ALIKE = 0.45
"""Share of letters that a confusion leaves, so that a reader can still tell what was meant."""

Table = Mapping[str, Mapping[str, int]]
"""What was spoken → what was heard instead (perhaps nothing, perhaps more words) → how often."""


class Mishearing:
    def __init__(self, table: Table, sounds: Mapping[str, Sequence[str]] | None = None) -> None:
        """`sounds`: a word → words that sound like it."""
        self._table = table
        self._sounds = sounds or {}

    @classmethod
    def read(cls, folder: Path) -> "Mishearing":
        """From a folder's heard.tsv and, if there, sounds.json."""
        try:
            table = learn(read_pairs(folder / "heard.tsv"))
            sounds = folder / "sounds.json"
            return cls(table, json.loads(sounds.read_text(encoding="utf-8")) if sounds.exists() else None)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{folder}: no pairs of mistakes: {error}; `npc train mishear` makes them") from error

    def apply(self, text: str, random: Random) -> str:
        """`text` as the recogniser might have put it, mostly with one to three mistakes."""
        words = text.split()
        most = max(1, len(words) // 3)  # of three words, one mistake leaves enough to go by
        for _ in range(min(most, random.choices((0, 1, 2, 3), (2, 5, 3, 1))[0])):
            words = self._confused(words, random)
        heard = " ".join(word for word in words if re.search(r"\w", word))
        heard = re.sub(r"[,;:]+(?=[.!?]*$)", "", heard)  # what stood behind the comma was not heard at all
        return written(heard or text, random)

    def _confused(self, words: list[str], random: Random) -> list[str]:
        """With one stretch of words replaced."""
        found: list[tuple[int, int, list[str]]] = []
        for at in range(len(words)):
            for n in range(1, LONGEST + 1):
                spoken = " ".join(map(_bare, words[at : at + n]))
                if at + n <= len(words) and spoken in self._table:
                    heard = self._table[spoken]
                    found.append((at, n, [random.choices(list(heard), list(heard.values()))[0]]))
            sounds = self._sounds.get(_bare(words[at]))
            if sounds:
                found.append((at, 1, [random.choice(sounds)]))
        if not found:
            return words
        # What a request is about is as often misheard as the small words that every sentence has.
        weights = [sum(len(_bare(word)) for word in words[at : at + n]) for at, n, _ in found]
        at, n, heard_as = random.choices(found, weights)[0]
        last = words[at + n - 1]
        tail = re.search(r"[^\w]*$", last)
        instead = heard_as[0] + (tail[0] if tail else "")
        return [*words[:at], *([instead] if re.search(r"\w", instead) else []), *words[at + n :]]


_AMERICAN = {
    "colour": "color", "grey": "gray", "armour": "armor", "harbour": "harbor", "favour": "favor", "honour": "honor",
    "neighbour": "neighbor", "centre": "center", "plough": "plow", "jewellery": "jewelry", "tyre": "tire",
    "metres": "meters", "litres": "liters", "catalogue": "catalog",
}  # fmt: skip


def written(text: str, random: Random) -> str:
    """In the recogniser's spelling: figures, commas for stops, small first letters, American words."""
    draw = random.random()
    text = re.sub(r"[a-z]+", lambda match: _AMERICAN.get(match[0], match[0]), text)
    if draw < 0.5:
        text = re.sub(r"\b[a-z]+(?: (?:one|two|three|four|five|six|seven|eight|nine))?\b", _figures, text)
        text = text.replace(" percent", "%") if re.search(r"\d percent", text) else text
    if random.random() < 0.4:
        text = re.sub(r"^(\w+)\. (\w)", lambda m: f"{m[1]}, {m[2].lower()}", text)
    if random.random() < 0.35:
        text = text[:1].lower() + text[1:] if not re.match(r"I\b", text) else text
    if random.random() < 0.2:
        text = text.rstrip(".!?") + random.choice((".", ".", ""))
    return text


def _figures(match: re.Match[str]) -> str:
    figures = checks.words(match[0])
    return figures if figures.isdigit() and figures not in ("0", "1") else match[0]


def read_pairs(file: Path) -> list[tuple[str, str]]:
    """(spoken, heard), a line each, a tab between."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [(spoken, heard) for spoken, _, heard in (line.partition("\t") for line in lines) if heard]


def learn(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Confusions of one to three words in pairs of (spoken, heard), by alignment."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for spoken, heard in pairs:
        ours, theirs = _plain(spoken).split(), _plain(heard).split()
        matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
        if not ours or not theirs or matcher.ratio() < UNDERSTOOD:
            continue
        for tag, i, j, k, m in matcher.get_opcodes():
            if tag in ("replace", "delete") and j - i <= LONGEST and m - k <= LONGEST + 1:
                was, became = " ".join(ours[i:j]), " ".join(theirs[k:m])
                is_alike = (
                    tag == "delete"
                    or checks.words(was) == checks.words(became)
                    or SequenceMatcher(None, was, became).ratio() >= ALIKE
                )
                if is_alike and not _changes_number(was, became):
                    found[was][became] += 1
    return {words: dict(heard.most_common(8)) for words, heard in sorted(found.items())}


def _changes_number(spoken: str, heard: str) -> bool:
    """Nobody could do what was asked after that; `twelve` heard as `12` is fine."""

    def numbers(text: str) -> list[str]:
        return [word for word in checks.words(text).split() if word.isdigit()]

    return numbers(spoken) != numbers(heard)


def _bare(word: str) -> str:
    return re.sub(r"^[^\w]+|[^\w]+$", "", word.lower())


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("’", "'")))
