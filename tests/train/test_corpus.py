"""The authored data is whole, and what is generated from it is legal, repeatable and in the engine's own form."""

import re
from pathlib import Path

import pytest

from npc.actions import charset
from npc.errors import ConfigError
from npc.train.corpus import DATA, Corpus, load_corpus
from npc.train.generate import ChatExample, examples, read_examples, write_examples
from npc.train.mishear import Mishearing, learn
from npc.train.tasks import SHARES

N = 400


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


@pytest.fixture(scope="module")
def made(corpus: Corpus) -> list[ChatExample]:
    return list(examples(corpus, N))


def test_every_kind_of_exchange_is_made(made: list[ChatExample]) -> None:
    assert {example.kind for example in made} == set(SHARES)


def test_an_example_is_the_same_whenever_it_is_made(corpus: Corpus, made: list[ChatExample]) -> None:
    assert list(examples(corpus, 20, first=10)) == made[10:30]
    assert list(examples(corpus, 20, seed=1)) != made[:20]


def test_calls_stand_where_they_are_due_and_nowhere_else(made: list[ChatExample]) -> None:
    for example in made:
        n_calls = len(re.findall(r"\[\w+\(", example.reply))
        wanted = {"direct": 1, "indirect": 1, "reference": 1, "two": 2}.get(example.kind, 0)
        assert n_calls == wanted or example.kind == "chat", example


def test_replies_are_short_and_speakable(made: list[ChatExample]) -> None:
    for example in made:
        spoken = re.sub(r"\[[^\]]*\]", "", example.reply)
        assert len(spoken.split()) <= 40, example.reply
        assert all(letter == " " or charset.is_in(letter, charset.SPEAKABLE) for letter in spoken), example.reply
        assert "  " not in example.reply
        assert not re.search(r"[{}]", example.reply + example.messages[-1].content)


def test_an_answer_is_in_the_prompt_that_it_answers(made: list[ChatExample]) -> None:
    """Numbers above all: what a reply tells must have been read."""
    for example in made:
        if example.kind == "knowledge":
            told = set(re.findall(r"\d+", example.reply))
            assert told <= set(re.findall(r"\d+", example.messages[-1].content)), example


def test_examples_survive_their_file(made: list[ChatExample], tmp_path: Path) -> None:
    counts = write_examples(tmp_path / "x.jsonl", iter(made))
    assert sum(counts.values()) == N
    assert list(read_examples(tmp_path / "x.jsonl")) == made


def test_a_mistake_in_authored_data_is_shown_with_its_place(tmp_path: Path) -> None:
    for name in ("manners", "worlds"):
        (tmp_path / name).mkdir()
    (tmp_path / "phrasings.yaml").write_text((DATA / "phrasings.yaml").read_text())
    world = tmp_path / "worlds" / "farm.yaml"
    world.write_text(
        "about: a farm\nscenes: [Noon.]\nactions:\n  milk(cow=object): {does: Milk., do: milk it, did: milked it}\n"
        "facts: []\ncast:\n  - {name: Jo, role: farmer, manner: loud, persona: You farm.}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_corpus(tmp_path)
    assert "farm.yaml:4:3: 'milk it' leaves cow open" in str(caught.value)
    assert "farm.yaml:7:38: manner 'loud' is unknown" in str(caught.value)


def test_confusions_are_learnt_from_what_was_heard_and_made_again() -> None:
    from random import Random

    table = learn([("Ring the bell now please", "Bring the bell now please"), ("Ring the bell", "Ring the bell")])
    assert table == {"ring": {"bring": 1}}
    assert Mishearing(table).apply("Ring, then, the bell.", Random(1)) == "bring, then, the bell."


def test_a_number_heard_as_another_is_not_taught() -> None:
    assert learn([("Ring the bell twelve times for us", "Ring the bell 12 times for us")]) == {"twelve": {"12": 1}}
    assert learn([("Ring the bell twelve times for us", "Ring the bell twenty times for us")]) == {}


def test_the_corpus_is_as_large_and_varied_as_it_claims(corpus: Corpus) -> None:
    counts = corpus.counts()
    assert (counts["worlds"] >= 40, counts["characters"] >= 300, counts["actions"] >= 400) == (True, True, True)
    n_parameters = {len(deed.spec.parameters) for world in corpus.worlds for deed in world.deeds}
    assert n_parameters == {0, 1, 2, 3}
    names = [form.name for world in corpus.worlds for form in world.form.cast]
    assert len(set(names)) == len(names)
