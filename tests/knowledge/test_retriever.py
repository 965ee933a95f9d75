from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npc.config import Knowledge
from npc.errors import StageError
from npc.knowledge import KnowledgeIndex, VectorStore
from npc.knowledge.embedder import Embedder
from npc.knowledge.retriever import refers_back, searchable
from npc.stages import Retriever
from npc.turn import Passage

WELL = Passage("It is forty feet deep.", "village.md", "The well")
INN = Passage("A bed is six coppers.", "village.md", "The inn")
SHOES = Passage("Three coppers each.", "prices.md", "Horseshoes")


WORDS = Knowledge(min_score=0.05, min_share_of_best=0.1)
"""Low enough that shared words alone are enough."""


def by_words(embedder: Embedder, *passages: Passage) -> KnowledgeIndex:
    """An index whose passages are near nothing in meaning."""
    return KnowledgeIndex(passages, np.zeros((len(passages), embedder.n_dimensions), np.float32), embedder, WORDS)


async def build(
    tmp_path: Path, embedder: Embedder, *passages: Passage, settings: Knowledge | None = None
) -> KnowledgeIndex:
    return await KnowledgeIndex.build(passages, embedder, VectorStore(tmp_path, embedder), settings)


async def test_an_index_is_a_retriever_and_names_where_a_passage_stands(tmp_path: Path, embedder: Embedder) -> None:
    retriever: Retriever = await build(tmp_path, embedder, WELL, INN, SHOES)
    [found] = await retriever.retrieve(searchable(WELL), 2)
    assert (found.file, found.heading, found.text) == (WELL.file, WELL.heading, WELL.text)
    assert found.score > 0


async def test_meaning_alone_finds_a_passage(tmp_path: Path, embedder: Embedder) -> None:
    index = await build(tmp_path, embedder, WELL, INN, SHOES, settings=Knowledge(lexical_weight=0, min_score=0.9))
    # The stand-in model knows a text only as itself.
    assert [p.heading for p in await index.retrieve(searchable(INN), 3)] == ["The inn"]


async def test_shared_words_alone_find_a_passage(tmp_path: Path, embedder: Embedder) -> None:
    index = by_words(embedder, WELL, INN, SHOES)
    assert [p.heading for p in await index.retrieve("what are horseshoes?", 2)] == ["Horseshoes"]
    assert await index.retrieve("what is the weather like?", 2) == ()


async def test_best_comes_first_and_no_more_than_asked_for(embedder: Embedder) -> None:
    index = by_words(embedder, WELL, INN, SHOES)
    question = "horseshoes for coppers, or the well, or the inn"
    found = await index.retrieve(question, 3)
    assert len(found) == 3
    assert found[0].heading == "Horseshoes"
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert await index.retrieve(question, 2) == found[:2]
    assert await index.retrieve(question, 0) == ()


async def test_what_is_far_behind_the_best_is_left_out(tmp_path: Path, embedder: Embedder) -> None:
    index = await build(tmp_path, embedder, WELL, INN, SHOES, settings=Knowledge(min_score=-2, min_share_of_best=0.9))
    assert [p.heading for p in await index.retrieve(searchable(WELL), 3)] == ["The well"]


async def test_knowing_nothing_answers_nothing_without_the_model(
    tmp_path: Path, embedder: Embedder, recorder: Any
) -> None:
    index = await build(tmp_path, embedder)
    assert await index.retrieve("how deep is the well?", 2) == ()
    index = await build(tmp_path, embedder, WELL)
    recorder.calls.clear()
    for query in ("", "  \n"):
        assert await index.retrieve(query, 2, "how deep is the well?") == ()
    assert recorder.calls == []


async def test_a_single_passage_can_be_found_and_not_found(tmp_path: Path, embedder: Embedder) -> None:
    index = by_words(embedder, WELL)
    assert [p.heading for p in await index.retrieve("is that a well?", 2)] == ["The well"]
    assert await index.retrieve("is that a dragon?", 2) == ()


async def test_a_follow_up_is_looked_up_with_what_was_said_before(tmp_path: Path, embedder: Embedder) -> None:
    index = by_words(embedder, WELL, INN, SHOES)
    assert await index.retrieve("and what is it like?", 2) == ()
    followed = await index.retrieve("and what is it like?", 2, "is that the well?")
    assert [p.heading for p in followed] == ["The well"]
    assert await index.retrieve("what is the weather like?", 2, "is that the well?") == ()


@pytest.mark.parametrize(
    "question", ["And how deep?", "how old is he", "what do they sell there?", "is that one older"]
)
def test_a_pronoun_refers_back(question: str) -> None:
    assert refers_back(question)


@pytest.mark.parametrize(
    "question", ["How deep is the well?", "Hello there!", "Is there an inn?", "there's an inn, right?", "Sandra?"]
)
def test_a_question_that_stands_by_itself_does_not(question: str) -> None:
    assert not refers_back(question)


async def test_a_failing_model_ends_the_turn_with_a_stage_error(
    tmp_path: Path, embedder: Embedder, recorder: Any
) -> None:
    index = await build(tmp_path, embedder, WELL)

    def fail() -> None:
        raise RuntimeError("gone")

    recorder.before = fail
    with pytest.raises(StageError, match="gone"):
        await index.retrieve("the well", 1)
