"""Finds the passages that answer what a player said: by meaning and by words, fused.

Nearness in meaning (cosine of embeddings) carries a question across paraphrase
and mishearing; shared words pin down names, prices and places that a small
embedding model blurs. What is not near enough by the sum of both is left out:
a passage that does not belong makes a small model talk beside the point.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from npc.config import Knowledge
from npc.knowledge.embedder import Embedder, Vectors
from npc.knowledge.lexical import LexicalIndex
from npc.knowledge.store import VectorStore
from npc.turn import Passage


class KnowledgeIndex:
    """What one character knows, ready to be asked. Shared by every session with that character."""

    def __init__(
        self, passages: Sequence[Passage], vectors: Vectors, embedder: Embedder, settings: Knowledge | None = None
    ) -> None:
        """`vectors`: float32 [len(passages), n_dimensions], rows of length 1, of `searchable(passage)`."""
        self.passages = tuple(passages)
        self._vectors = vectors
        self._embedder = embedder
        self._settings = settings or Knowledge()
        self._lexical = LexicalIndex([searchable(passage) for passage in passages])

    @classmethod
    async def build(
        cls,
        passages: Sequence[Passage],
        embedder: Embedder,
        store: VectorStore,
        settings: Knowledge | None = None,
    ) -> "KnowledgeIndex":
        vectors = await store.embed([searchable(passage) for passage in passages])
        return await asyncio.to_thread(cls, passages, vectors, embedder, settings)

    async def retrieve(self, query: str, n: int, context: str = "") -> tuple[Passage, ...]:
        """At most `n` passages, best first, each with its score; none where nothing is near enough.

        `context` is what the player said just before: "and how deep is it?" is looked up with it,
        a question that stands by itself is not.
        Raises StageError when the embedding model fails.
        """
        if n <= 0 or not self.passages or not query.strip():
            return ()
        if context.strip() and refers_back(query):
            alone, together = await self._scores(query, f"{context} {query}")
            scores = np.maximum(alone, self._settings.context_weight * together)
        else:
            [scores] = await self._scores(query)
        best = np.argsort(-scores, kind="stable")[:n]
        least = max(self._settings.min_score, self._settings.min_share_of_best * float(scores[best[0]]))
        return tuple(replace(self.passages[i], score=round(float(scores[i]), 4)) for i in best if scores[i] >= least)

    async def _scores(self, *queries: str) -> NDArray[np.float32]:
        """[len(queries), n_passages]: cosine similarity plus the weighted share of the query's words."""
        similarities = await self._embedder.embed(queries) @ self._vectors.T
        shares = np.stack([self._lexical.scores(query) for query in queries])
        return similarities + self._settings.lexical_weight * shares


_POINTS_BACK = re.compile(
    r"^\W*and\b|\b(?:it|its|that|this|these|those|they|them|their|theirs|he|him|his|she|her|hers|ones?|there)\b", re.I
)
_MERELY_THERE = re.compile(r"\b(?:is|are|was|were|hello|hi|hey) there\b|\bthere(?:'s| is| are| was| were)\b", re.I)


def refers_back(question: str) -> bool:
    """Whether it needs what was said before: it begins with "and", or has a pronoun."""
    return _POINTS_BACK.search(_MERELY_THERE.sub(" ", question)) is not None


def searchable(passage: Passage) -> str:
    """What a passage is found by: its heading often holds the word that its text takes for granted."""
    return f"{passage.heading}: {passage.text}" if passage.heading else passage.text
