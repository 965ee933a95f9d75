"""Evaluation is held out by construction."""

from dataclasses import replace
from pathlib import Path

import pytest

from npc.character import Character, load_character
from npc.evaluate.cases import Case, read_cases
from npc.train.corpus import Corpus, load_corpus
from npc.train.generate import examples
from npc.train.split import FEW_WORDS, NEAR, _pairs, likeness, overlaps

HELD_OUT = Path(__file__).parents[2] / "npc" / "evaluate" / "data"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [case for file in sorted((HELD_OUT / "cases").glob("*.jsonl")) for case in read_cases(file)]


@pytest.fixture(scope="module")
def cast() -> list[Character]:
    return [load_character(folder) for folder in sorted((HELD_OUT / "characters").iterdir())]


def test_nothing_that_is_authored_for_training_is_held_out(
    corpus: Corpus, cast: list[Character], cases: list[Case]
) -> None:
    assert [str(overlap) for overlap in overlaps(corpus, cast, cases)] == []


def test_no_generated_utterance_is_a_held_out_one(corpus: Corpus, cases: list[Case]) -> None:
    held_out = {_pairs(case.utterance): case.utterance for case in cases if len(case.utterance.split()) > FEW_WORDS}
    for example in examples(corpus, 600, seed=5):
        said = example.messages[-1].content.splitlines()[-1]
        pairs = _pairs(said)
        near = [text for other, text in held_out.items() if pairs & other and likeness(pairs, other) >= NEAR]
        assert near == [], said


def test_no_text_of_the_held_out_knowledge_is_trained_on(corpus: Corpus) -> None:
    trained = {_pairs(fact.fact) for world in corpus.worlds for fact in world.form.facts}
    for file in (HELD_OUT / "characters").glob("*/knowledge/*.md"):
        for line in file.read_text().splitlines():
            assert all(likeness(_pairs(line), other) < NEAR for other in trained), line


def test_an_overlap_would_be_found(corpus: Corpus, cast: list[Character], cases: list[Case]) -> None:
    deed, form = corpus.worlds[0].deeds[0], corpus.worlds[-1].form.cast[0]
    asked = next(q for w in corpus.worlds for f in w.form.facts for q in f.ask if len(q.split()) > 5 and "{" not in q)
    twin = Case(id="x", character="y", utterance=f"{asked.rstrip('?').upper()}!")
    stolen, acting = replace(cast[0], name=form.name), replace(cast[0], actions=(deed.spec,))
    kinds = [overlap.kind for overlap in overlaps(corpus, [stolen, acting], [twin])]
    assert kinds == ["character", "action", "utterance"]
