"""Makes examples on every core: written, built into prompts and tokenised where they are made.

What comes back is arrays of tokens, which are cheap to send; the corpus is
read once, before the processes fork where the system can.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from npc.train.corpus import Corpus, load_corpus
from npc.train.generate import ChatExample, examples
from npc.train.mishear import Mishearing

if TYPE_CHECKING:
    from npc.llm.tokenizer import ChatTokenizer
    from npc.train.batches import Tokens

PART = 250
"""Examples that a process makes at a time."""


@dataclass(frozen=True, slots=True)
class Factory:
    folder: Path
    """Of authored data."""
    seed: int
    dev_worlds: tuple[str, ...] = ()
    """Worlds that are kept out of training."""

    def examples(self, n: int, processes: int) -> list[ChatExample]:
        """Numbers 0 to n, whatever the number of processes."""
        if processes == 1:
            return [example for first, size in _parts(n) for example in self._made(first, size)]
        _read(self.folder)
        with ProcessPoolExecutor(processes) as pool:
            return [each for made in pool.map(self._made, *zip(*_parts(n), strict=True)) for each in made]

    def tokens(
        self, n: int, model: Path, eos_id: int, max_tokens: int, processes: int
    ) -> "tuple[list[Tokens], list[Tokens]]":
        """To learn from, and to watch. Examples longer than `max_tokens` are left out."""
        train: list[Tokens] = []
        dev: list[Tokens] = []
        jobs = [(first, size, model, eos_id, max_tokens) for first, size in _parts(n)]
        if processes == 1:
            made = [self._tokenised(*job) for job in jobs]
        else:
            _read(self.folder)
            with ProcessPoolExecutor(processes) as pool:
                made = list(pool.map(self._tokenised, *zip(*jobs, strict=True)))
        for part, watched in made:
            train += part
            dev += watched
        return train, dev

    def _made(self, first: int, n: int) -> list[ChatExample]:
        corpus, mishearing = _read(self.folder)
        return list(examples(corpus, n, self.seed, mishearing, first))

    def _tokenised(
        self, first: int, n: int, model: Path, eos_id: int, max_tokens: int
    ) -> "tuple[list[Tokens], list[Tokens]]":
        from npc.train.batches import tokenise

        made = self._made(first, n)
        watched = [each for each in made if each.world in self.dev_worlds]
        learnt = [each for each in made if each.world not in self.dev_worlds]
        tokenizer = _tokenizer(model)
        return (
            list(tokenise(learnt, tokenizer, eos_id, max_tokens)),
            list(tokenise(watched, tokenizer, eos_id, max_tokens)),
        )


@cache
def _read(folder: Path) -> tuple[Corpus, Mishearing | None]:
    return load_corpus(folder), Mishearing.read(folder) if (folder / "heard.tsv").exists() else None


@cache
def _tokenizer(model: Path) -> "ChatTokenizer":
    from npc.llm.tokenizer import ChatTokenizer

    return ChatTokenizer(model)


def _parts(n: int) -> Iterator[tuple[int, int]]:
    """(first, how many)."""
    return ((first, min(PART, n - first)) for first in range(0, n, PART))
