"""Evaluation is held out by construction."""

from dataclasses import replace

import pytest

from npc.character import Character
from npc.cli.evaluate import HeldOut, held_out, material
from npc.evaluate.cases import Case
from npc.train.corpus import Corpus, load_corpus
from npc.train.generate import examples
from npc.train.split import FEW_WORDS, NEAR, _pairs, likeness, overlaps


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Of both sets."""
    return [case for which in HeldOut for case in material(None, None, which)[0]]


@pytest.fixture(scope="module")
def cast() -> list[Character]:
    return [character for which in HeldOut for character in material(None, None, which)[1].values()]


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
    for which in HeldOut:
        for file in (held_out(which) / "characters").glob("*/knowledge/*.md"):
            for line in file.read_text().splitlines():
                assert all(likeness(_pairs(line), other) < NEAR for other in trained), line


def test_the_unseen_set_shares_nothing_with_the_known_one() -> None:
    (known, known_cast), (unseen, unseen_cast) = (material(None, None, which) for which in HeldOut)
    assert not {case.id for case in known} & {case.id for case in unseen}
    assert not {each.name for each in known_cast.values()} & {each.name for each in unseen_cast.values()}
    known_actions = {action.name for each in known_cast.values() for action in each.actions}
    assert not known_actions & {action.name for each in unseen_cast.values() for action in each.actions}
    asked = {_pairs(case.utterance): case.utterance for case in known if len(case.utterance.split()) > FEW_WORDS}
    for case in unseen:
        pairs = _pairs(case.utterance)
        near = [text for other, text in asked.items() if likeness(pairs, other) >= NEAR]
        assert near == [], case.utterance


def test_an_overlap_would_be_found(corpus: Corpus, cast: list[Character], cases: list[Case]) -> None:
    deed, form = corpus.worlds[0].deeds[0], corpus.worlds[-1].form.cast[0]
    asked = next(q for w in corpus.worlds for f in w.form.facts for q in f.ask if len(q.split()) > 5 and "{" not in q)
    twin = Case(id="x", character="y", utterance=f"{asked.rstrip('?').upper()}!")
    stolen, acting = replace(cast[0], name=form.name), replace(cast[0], actions=(deed.spec,))
    kinds = [overlap.kind for overlap in overlaps(corpus, [stolen, acting], [twin])]
    assert kinds == ["character", "action", "utterance"]
