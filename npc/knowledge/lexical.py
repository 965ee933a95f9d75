"""Which passages share a question's words: BM25 through bm25s, on Snowball stems.

Scores are shares between 0 and 1 of what the question's words are worth, so
that one threshold fits long and short questions.
"""

import logging
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import snowballstemmer  # type: ignore[import-untyped]
from numpy.typing import NDArray


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """What is imported meanwhile does not find `module`, unless somebody has imported it before."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # importlib's own sign
    try:
        yield
    finally:
        del sys.modules[module]


with _hidden("jax"):  # where it is installed, bm25s would have it take most of a GPU to sort a few scores
    import bm25s  # type: ignore[import-untyped]
    from bm25s.stopwords import STOPWORDS_EN_PLUS  # type: ignore[import-untyped]

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it asks for DEBUG on import

_WORD = re.compile(r"[^\W_]+")
_SMALL_TALK = """
    ah also anybody anyone anything come could else even ever every friend get give go going good got great hello hey hi
    know let like lot make many may maybe mean might much must oh ok okay one please quite really right say see shall
    sir somebody someone something sort sure take talk tell thank thanks thing things think uh um us want way would yes
"""
_CARRIES_NOTHING = frozenset(STOPWORDS_EN_PLUS) | frozenset(_SMALL_TALK.split())


class LexicalIndex:
    def __init__(self, texts: Sequence[str]) -> None:
        self._n_texts = len(texts)
        self._stem = snowballstemmer.stemmer("english").stemWord
        documents = [self._stems(text) for text in texts]
        self._n_holding = Counter(stem for document in documents for stem in set(document))
        self._bm25: bm25s.BM25 | None = None
        if self._n_holding:
            self._bm25 = bm25s.BM25(method="lucene")
            self._bm25.index(documents, show_progress=False)

    def scores(self, question: str) -> NDArray[np.float32]:
        """[n_texts] in [0, 1): the part of the question's information that a text holds.

        BM25 (Lucene's variant) divided by its least upper bound for this question,
        which is the sum of its words' idf: a word that no text has counts against all.
        A question of common words alone ("what is this place?") is worth one rare word.
        """
        stems = dict.fromkeys(self._joined(self._stems(question)))
        known = [stem for stem in stems if stem in self._n_holding]
        if self._bm25 is None or not known:
            return np.zeros(self._n_texts, np.float32)
        scores: NDArray[np.float32] = self._bm25.get_scores(known)
        return scores / max(sum(self._idf(self._n_holding[stem]) for stem in stems), self._idf(1))

    def _idf(self, n_holding: int) -> float:
        return math.log1p((self._n_texts - n_holding + 0.5) / (n_holding + 0.5))

    def _stems(self, text: str) -> list[str]:
        return [self._stem(word) for word in _WORD.findall(text.lower()) if word not in _CARRIES_NOTHING]

    def _joined(self, stems: Sequence[str]) -> list[str]:
        """A recogniser writes `horse shoe` where the writer wrote `horseshoe`: take the known form."""
        joined = list(stems)
        for left, right in pairwise(stems):
            if left + right in self._n_holding and left in joined and right in joined:
                joined[joined.index(left)] = left + right
                joined.remove(right)
        return joined
