"""Words that sound alike, by pronunciation: what a recogniser takes for a word that it does not make out.

Pronunciations are those of the synthesiser's own dictionary; candidates are
the commoner words of the language model's vocabulary, since a recogniser, too,
prefers what it has often seen.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from npc.evaluate import checks

MOST = 6
_ALIKE = ("pb", "td", "kɡ", "fv", "sz", "θð", "mn", "lɹ", "ʃʒ", "ʧʤ", "iɪ", "uʊ", "æɛ", "ɑʌ", "ɔO", "AI", "wl", "hf")
_NEAR = {frozenset(pair) for pair in _ALIKE}


def neighbours(words: Iterable[str], candidates: Mapping[str, str], spoken: Mapping[str, str]) -> dict[str, list[str]]:
    """`spoken` and `candidates` (the commonest first): words with their phonemes, one letter each, without stress."""
    index: defaultdict[str, set[str]] = defaultdict(set)
    ranks = {word: rank for rank, word in enumerate(candidates)}
    for word, phonemes in candidates.items():
        for form in _shortened(phonemes):
            index[form].add(word)
    found: dict[str, list[str]] = {}
    for word in sorted(set(words)):
        own = spoken.get(word, "")
        if len(own) < 2 or checks.words(word).isdigit():
            continue  # nobody could do what was asked with another number
        limit = 0.8 if len(own) < 4 else 1.0 if len(own) < 6 else 1.8
        maybe = {other for form in _shortened(own) for other in index[form]}
        near = [
            (distance, ranks[other], other)
            for other in maybe
            if other.rstrip("s") != word.rstrip("s") and (distance := apart(own, candidates[other], limit)) <= limit
        ]
        if near:
            found[word] = [other for _, _, other in sorted(near)[:MOST]]
    return found


_CLASSES = {sound: pair[0] for pair in _ALIKE for sound in pair}


def _shortened(phonemes: str) -> set[str]:
    """Its classes of sounds, and these with one left out: two words that share one are an edit or two apart."""
    plain = "".join(_CLASSES.get(sound, sound) for sound in phonemes)
    return {plain, *(plain[:n] + plain[n + 1 :] for n in range(len(plain)))}


def write_sounds(file: Path, found: Mapping[str, Sequence[str]]) -> None:
    """A word a line, so that a change can be read."""
    lines = ",\n".join(f"{json.dumps(word)}: {json.dumps(others)}" for word, others in found.items())
    file.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def apart(a: str, b: str, limit: float) -> float:
    """Edits between two pronunciations; sounds made in the same place count half."""
    row = [float(n) for n in range(len(b) + 1)]
    for n, left in enumerate(a, 1):
        before, row[0] = row[0], float(n)
        for m, right in enumerate(b, 1):
            cost = 0.0 if left == right else 0.5 if frozenset((left, right)) in _NEAR else 1.0
            before, row[m] = row[m], min(before + cost, row[m] + 1, row[m - 1] + 1)
        if min(row) > limit:
            return limit + 1
    return row[-1]


def made_for(words: Iterable[str]) -> dict[str, list[str]]:
    """For each of `words` that the dictionary has. Raises ModelError where the language model cannot be had."""
    from hibari.g2p import G2P  # type: ignore[import-untyped]

    from npc.llm.tokenizer import ChatTokenizer
    from npc.models import ModelStore

    lexicon = G2P(oov=False).lexicon
    known = {**lexicon.silvers.d, **lexicon.golds.d}
    vocabulary = ChatTokenizer(ModelStore().ensure("smollm2-135m-instruct")).library.get_vocab()
    ranked = sorted(vocabulary.items(), key=lambda pair: pair[1])
    common = [word[1:] for word, rank in ranked if rank < COMMON and re.fullmatch("Ġ[a-z]{2,}", word)]
    common = [word for word in common if not checks.words(word).isdigit()]
    spoken = {word: _phonemes(known[word]) for word in {*words, *common} if word in known}
    candidates = {word: spoken[word] for word in common if word in spoken}
    return neighbours(words, candidates, spoken)


COMMON = 16_000
"""Tokens of the vocabulary that are tried; they stand in the order in which they were merged, the commonest first."""


def _phonemes(entry: object) -> str:
    text = entry if isinstance(entry, str) else str(next(iter(entry.values()))) if isinstance(entry, Mapping) else ""
    return "".join(letter for letter in text if letter not in "ˈˌː")
