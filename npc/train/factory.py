"""Makes examples on every core: written, built into prompts and tokenised where they are made.

What comes back is arrays of tokens, which are cheap to send; the corpus is
read once, before the processes fork where the system can.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from npc.train.corpus import Corpus, load_corpus
from npc.train.generate import ChatExample, examples
from npc.train.mishear import Mishearing

if TYPE_CHECKING:
    from npc.llm.tokenizer import ChatTokenizer
    from npc.train.batches import Tokens

PART = 250
"""Examples that a process makes at a time."""
PER_ROUND = 32_000
"""Within a round, examples of like length run together."""


@dataclass(frozen=True, slots=True)
class Factory:
    folder: Path
    """Of authored data."""
    seed: int
    dev_worlds: tuple[str, ...] = ()
    """Worlds that are kept out of training."""
    n_worlds: int | None = None
    """Of the others, so many are learnt from, drawn by the seed; all, where it is None."""

    def examples(self, n: int, processes: int) -> list[ChatExample]:
        """Numbers 0 to n, whatever the number of processes."""
        if processes == 1:
            return [example for first, size in _parts(n) for example in self._made(first, size)]
        _read(self.folder)
        with ProcessPoolExecutor(processes) as pool:
            return [each for made in pool.map(self._made, *zip(*_parts(n), strict=True)) for each in made]

    def stock(self, n: int, model: Path, eos_id: int, max_tokens: int, processes: int) -> "Stock":
        """Numbers 0 to n as tokens; the first are made at once, the rest while they are learnt from."""
        return Stock(self, n, model, eos_id, max_tokens, processes)

    def _made(self, first: int, n: int) -> list[ChatExample]:
        corpus, mishearing = _read(self.folder)
        return list(examples(corpus, n, self.seed, mishearing, first))

    def tokenised(
        self, first: int, n: int, model: Path, eos_id: int, max_tokens: int
    ) -> "tuple[list[Tokens], list[Tokens]]":
        """To learn from, and to watch. Examples longer than `max_tokens` are left out."""
        from npc.train.batches import tokenise

        made, worlds = self._made(first, n), self._worlds()
        watched = [each for each in made if each.world in self.dev_worlds]
        learnt = [each for each in made if each.world in worlds]
        tokenizer = _tokenizer(model)
        return (
            list(tokenise(learnt, tokenizer, eos_id, max_tokens)),
            list(tokenise(watched, tokenizer, eos_id, max_tokens)),
        )

    def _worlds(self) -> frozenset[str]:
        """What is learnt from."""
        corpus, _ = _read(self.folder)
        names = sorted({world.id for world in corpus.worlds} - set(self.dev_worlds))
        return frozenset(
            names if self.n_worlds is None else Random(self.seed).sample(names, min(self.n_worlds, len(names)))
        )


class Stock:
    """Examples as tokens, in rounds of up to `PER_ROUND`, made on other cores ahead of the one who learns."""

    def __init__(self, factory: Factory, n: int, model: Path, eos_id: int, max_tokens: int, processes: int) -> None:
        _read(factory.folder)
        self._pool = ProcessPoolExecutor(processes, initializer=_give_way)
        made = [
            self._pool.submit(factory.tokenised, first, size, model, eos_id, max_tokens) for first, size in _parts(n)
        ]
        per_round = PER_ROUND // PART
        self._rounds = [made[at : at + per_round] for at in range(0, len(made), per_round)]

    def __len__(self) -> int:
        """Rounds."""
        return len(self._rounds)

    def __getitem__(self, index: int) -> "list[Tokens]":
        """To learn from; waits until they are made. Raises what went wrong where they are made."""
        return [each for part in self._rounds[index] for each in part.result()[0]]

    @property
    def watched(self) -> "list[Tokens]":
        """Of the worlds that are kept out; the first round's, so that learning need not wait for more."""
        return [each for part in self._rounds[0] for each in part.result()[1]]

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _give_way() -> None:
    """To the process that learns, which keeps an accelerator busy with one core."""
    if hasattr(os, "nice"):
        os.nice(10)


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
