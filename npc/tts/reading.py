"""How words are pronounced: the synthesiser's phonemes, and which word each belongs to.

Hibari's reader expands a text before it reads it ("7:30 pm" becomes three
words, "$9.99" six), so its words are aligned with the visible ones here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from npc.tts.sayable import SayableWord

_PAD = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """One character of the phoneme alphabet; `word` indexes the visible words, None for what is between them."""

    symbol: str
    id: int
    word: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """`units` are what the model is given, its silent first and last one included."""

    words: tuple[SayableWord, ...]
    units: tuple[Unit, ...]

    @property
    def ids(self) -> list[int]:
        return [unit.id for unit in self.units]

    @property
    def is_silent(self) -> bool:
        return all(unit.word is None for unit in self.units)


class Reader:
    """Hibari's G2P and lexicon. Not safe for several threads at once."""

    def __init__(self, g2p: Any, expand: Callable[[str], str], alphabet: Mapping[str, int]) -> None:
        # g2p: hibari.g2p.G2P, expand: hibari.g2p.normalize.normalize; the package carries no types.
        self._g2p = g2p
        self._expand = expand
        self._alphabet = alphabet

    def read(self, words: Sequence[SayableWord]) -> Reading:
        sounding = [i for i, word in enumerate(words) if word.spoken]
        spoken = [words[i].spoken for i in sounding]
        text = self._expand(" ".join(spoken))
        owners = [sounding[i] for i in self._owners([word.replace(" ", "") for word in spoken], text.split())]
        units = [Unit("", _PAD, None)]
        n_read = 0
        for token in self._g2p.phonemize_tokens(self._g2p.tokenize(text)):
            word = owners[min(n_read, len(owners) - 1)] if owners else None
            for symbol in token.phonemes or "":
                if symbol in self._alphabet:
                    is_pause = symbol == " " or not (symbol.isalpha() or symbol in "ˈˌː\u0303")
                    units.append(Unit(symbol, self._alphabet[symbol], None if is_pause else word))
            if token.whitespace:
                n_read += 1
                units.append(Unit(" ", self._alphabet[" "], None))
        while len(units) > 1 and units[-1].symbol == " ":
            units.pop()
        return Reading(tuple(words), (*units, Unit("", _PAD, None)))

    def _owners(self, spoken: list[str], expanded: list[str]) -> list[int]:
        """For each expanded word, the index of the visible word that it comes from; never decreasing."""
        owners: list[int] = []
        for change, i, j, k, m in SequenceMatcher(None, spoken, expanded, autojunk=False).get_opcodes():
            if change == "equal":
                owners += range(i, j)
            elif change == "insert":
                owners += [max(i - 1, 0)] * (m - k)
            elif change == "replace":
                owners += self._share(i, spoken[i:j], m - k)
        return owners

    def _share(self, first: int, spoken: list[str], n_expanded: int) -> list[int]:
        """Which of `spoken` each of `n_expanded` words belongs to: by what each expands to alone, else evenly."""
        counts = [len(self._expand(word).split()) for word in spoken]
        if sum(counts) == n_expanded:
            return [first + i for i, count in enumerate(counts) for _ in range(count)]
        return [first + i * len(spoken) // n_expanded for i in range(n_expanded)]
