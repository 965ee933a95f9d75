"""Whether the characters that ship find in their knowledge what players ask for: questions.toml, with the real model.

Run with `-s` for the figures.
"""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from npc.character import load_characters
from npc.config import Knowledge
from npc.knowledge import Embedder, KnowledgeIndex, VectorStore, read_passages
from npc.knowledge.retriever import searchable
from npc.models import ModelStore

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

# Any: TOML, read by the helpers below alone.
QUESTIONS: dict[str, dict[str, list[Any]]] = tomllib.loads(
    (Path(__file__).parent / "questions.toml").read_text(encoding="utf-8")
)
NAMES = sorted(QUESTIONS)
N = 2
"""Passages a prompt has room for."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedder(models: ModelStore) -> AsyncIterator[Embedder]:
    embedder = await asyncio.to_thread(Embedder.load, models.ensure("all-minilm-l6-v2"))
    yield embedder
    embedder.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def indexes(embedder: Embedder, models: ModelStore) -> dict[str, KnowledgeIndex]:
    return await _indexes(embedder, models, Knowledge())


async def _indexes(embedder: Embedder, models: ModelStore, settings: Knowledge) -> dict[str, KnowledgeIndex]:
    store = VectorStore(models.derived("all-minilm-l6-v2", "passages"), embedder)
    return {
        name: await KnowledgeIndex.build(
            read_passages(character.knowledge, character.folder), embedder, store, settings
        )
        for name, character in load_characters().items()
        if name in QUESTIONS
    }


async def _recall(index: KnowledgeIndex, name: str, kind: str) -> float:
    """Share of the questions whose passage is among the best N."""
    hits = []
    for *before, question, file, heading in QUESTIONS[name][kind]:
        found = await index.retrieve(question, N, *before)
        hits.append((f"knowledge/{file}", heading) in [(passage.file, passage.heading) for passage in found])
        if not hits[-1]:
            print(f"{name}: {question!r} wants {heading}, found {[(p.heading, p.score) for p in found]}")
    print(f"{name}: {np.mean(hits):.0%} of {kind}")
    return float(np.mean(hits))


async def _silence(index: KnowledgeIndex, name: str) -> float:
    """Share of the off-topic questions that find nothing."""
    silent = float(np.mean([not await index.retrieve(question, N) for question in QUESTIONS[name]["off_topic"]]))
    print(f"{name}: {silent:.0%} of the off-topic questions find nothing")
    return silent


@pytest.mark.parametrize("name", NAMES)
async def test_every_answer_that_is_asked_for_stands_in_the_knowledge(
    indexes: dict[str, KnowledgeIndex], name: str
) -> None:
    there = {(passage.file, passage.heading) for passage in indexes[name].passages}
    for kind in ("asked", "hard", "misheard", "follow_ups"):
        for *_, file, heading in QUESTIONS[name][kind]:
            assert (f"knowledge/{file}", heading) in there


@pytest.mark.parametrize("name", NAMES)
async def test_what_players_ask_is_found(indexes: dict[str, KnowledgeIndex], name: str) -> None:
    assert await _recall(indexes[name], name, "asked") >= 0.9


async def test_most_of_what_is_asked_in_other_words_is_found(indexes: dict[str, KnowledgeIndex]) -> None:
    assert np.mean([await _recall(indexes[name], name, "hard") for name in NAMES]) >= 0.7


async def test_most_of_what_was_misheard_is_found(indexes: dict[str, KnowledgeIndex]) -> None:
    assert np.mean([await _recall(indexes[name], name, "misheard") for name in NAMES]) >= 0.7


@pytest.mark.parametrize("name", NAMES)
async def test_follow_ups_are_found_with_what_was_said_before(indexes: dict[str, KnowledgeIndex], name: str) -> None:
    assert await _recall(indexes[name], name, "follow_ups") >= 0.9
    alone = [await indexes[name].retrieve(question, 1) for _, question, _, _ in QUESTIONS[name]["follow_ups"]]
    wanted = [heading for *_, heading in QUESTIONS[name]["follow_ups"]]
    assert [p.heading for found in alone for p in found] != wanted  # or the question shows nothing


@pytest.mark.parametrize("name", NAMES)
async def test_off_topic_questions_find_nothing(indexes: dict[str, KnowledgeIndex], name: str) -> None:
    assert await _silence(indexes[name], name) >= 0.75


async def test_meaning_and_words_together_rank_better_than_either(
    embedder: Embedder, models: ModelStore, indexes: dict[str, KnowledgeIndex]
) -> None:
    everything = Knowledge(min_score=-1, min_share_of_best=0)
    by_words = {
        # Vectors that are near nothing.
        name: KnowledgeIndex(
            index.passages, np.zeros((len(index.passages), embedder.n_dimensions), np.float32), embedder, everything
        )
        for name, index in indexes.items()
    }
    by_meaning = await _indexes(embedder, models, everything.model_copy(update={"lexical_weight": 0}))
    by_both = await _indexes(embedder, models, everything)
    recall: dict[str, float] = {}
    for way, among in (("words", by_words), ("meaning", by_meaning), ("both", by_both)):
        kinds = {
            kind: float(np.mean([await _recall(among[name], name, kind) for name in NAMES]))
            for kind in ("asked", "hard", "misheard", "follow_ups")
        }
        print(f"{way}: recall@{N}", {kind: round(share, 3) for kind, share in kinds.items()})
        recall[way] = float(np.mean(list(kinds.values())))
    assert recall["both"] > max(recall["meaning"], recall["words"])


async def test_a_second_start_embeds_no_passage(embedder: Embedder, models: ModelStore) -> None:
    store = VectorStore(models.derived("all-minilm-l6-v2", "passages"), embedder)
    passages = [
        searchable(passage)
        for character in load_characters().values()
        for passage in read_passages(character.knowledge, character.folder)
    ]
    expected = await store.embed(passages)

    def refuse(texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        raise AssertionError(f"embedded again: {texts[0]}")

    again = Embedder(embedder.name, embedder.n_dimensions, refuse)
    try:
        np.testing.assert_array_equal(await VectorStore(store.folder, again).embed(passages), expected)
    finally:
        again.close()
