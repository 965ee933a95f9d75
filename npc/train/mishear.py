"""What the recogniser hears instead: word confusions learnt by speaking authored utterances to it.

`npc train mishear` speaks a sample with the synthesiser's voices, with noise
and by telephone, lets the engine's own recogniser listen, aligns both texts
and keeps what was confused. Data can then be made noisy without any audio.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from npc.errors import ConfigError
from npc.evaluate import checks

MAX_EDITS = 2
"""In one utterance: a recogniser is rarely worse where it is used at all."""


class Mishearing:
    """`table`: a word as spoken → what was heard instead (perhaps nothing, perhaps more words) → how often."""

    def __init__(self, table: Mapping[str, Mapping[str, int]]) -> None:
        self._table = table

    @classmethod
    def read(cls, file: Path) -> "Mishearing":
        try:
            return cls(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: no table of confusions: {error}; `npc train mishear` makes one") from error

    def apply(self, text: str, random: Random) -> str:
        """`text` with one or two of its words misheard, where any is known to be."""
        words = text.split()
        places = [n for n, word in enumerate(words) if _bare(word) in self._table]
        for n in random.sample(places, min(random.randint(1, MAX_EDITS), len(places))):
            heard = self._table[_bare(words[n])]
            instead = random.choices(list(heard), list(heard.values()))[0]
            words[n] = re.sub(r"[\w']+(?:-[\w']+)*", lambda _, new=instead: new, words[n], count=1)  # type: ignore[misc]
        kept = " ".join(word for word in words if re.search(r"\w", word))
        return kept if kept else text


def learn(pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Confusions in pairs of (spoken, heard), by alignment of words."""
    import jiwer

    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for spoken, heard in pairs:
        reference, hypothesis = _plain(spoken), _plain(heard)
        if not reference or not hypothesis:
            continue
        output = jiwer.process_words(reference, hypothesis)
        if output.wer > 0.6:  # nothing of it was understood; alignment means nothing
            continue
        words, other = reference.split(), hypothesis.split()
        for chunk in output.alignments[0]:
            ours = words[chunk.ref_start_idx : chunk.ref_end_idx]
            theirs = other[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "substitute":
                for n, word in enumerate(ours):
                    if not _changes_number(word, theirs[n]):
                        found[word][theirs[n]] += 1
            elif chunk.type == "delete":
                for word in ours:
                    if not _changes_number(word, ""):
                        found[word][""] += 1
    return {word: dict(heard.most_common(8)) for word, heard in sorted(found.items())}


def _changes_number(spoken: str, heard: str) -> bool:
    """Nobody could do what was asked after that; `twelve` heard as `12` is fine."""
    number = checks.words(spoken)
    return number.isdigit() and number != checks.words(heard)


def _bare(word: str) -> str:
    return re.sub(r"^[^\w]+|[^\w]+$", "", word.lower())


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("’", "'")))
