"""The authored data is whole, and what is generated from it is legal, repeatable and in the engine's own form."""

import re
from pathlib import Path
from random import Random

import pytest

from npc.actions import charset
from npc.errors import ConfigError
from npc.train.casting import set_stage
from npc.train.corpus import DATA, Corpus, load_corpus
from npc.train.generate import ChatExample, examples, read_examples, write_examples
from npc.train.lore import LoreForm, Question, deal
from npc.train.mishear import Mishearing, learn, written
from npc.train.notation import gerund
from npc.train.sounds import neighbours
from npc.train.tasks import SHARES

N = 1200


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


def test_calls_stand_where_they_are_due_and_nowhere_else(corpus: Corpus, made: list[ChatExample]) -> None:
    once = ("direct", "indirect", "reference", "talked", "then", "again", "another", "deictic", "both")
    n_due = {**dict.fromkeys(once, 1), "two": 2}
    n_offered = 0
    for example in made:
        n_calls = len(re.findall(r"\[(?!feel|gesture)\w+\(", example.reply))
        if example.kind == "offered" and (said := example.messages[-1].content) in corpus.phrasings.accept:
            assert n_calls == 1, example
            n_offered += 1
        elif example.kind == "offered" and said in corpus.phrasings.decline:
            assert n_calls == 0, example
        elif example.kind not in ("offered", "outcome"):
            assert n_calls == n_due.get(example.kind, 0), example
    assert n_offered


def test_a_reply_begins_with_words(made: list[ChatExample]) -> None:
    """The first clause is what the player waits for; only what is shown may come before it, and seldom."""
    assert not any(re.match(r"\[(?!feel|gesture)", example.reply) for example in made)
    assert sum(example.reply.startswith("[") for example in made) < N / 20


def test_what_is_shown_is_on_the_sheet(made: list[ChatExample]) -> None:
    shown = [(example, re.findall(r"\[(feel|gesture)\(name=(\w+)\)\]", example.reply)) for example in made]
    assert any(calls for _, calls in shown)
    for example, calls in shown:
        for _, name in calls:
            assert re.search(rf"name=[\w|]*\b{name}\b", example.messages[0].content), example


def test_prompts_have_what_a_sessions_prompt_may_have(made: list[ChatExample]) -> None:
    """Model exchanges, passages, outcomes, hindrances, what the moment shows, feelings, what "it" means."""
    last = "\n".join(example.messages[-1].content for example in made)
    for form in ("(You know: ", "(Your ", "(You cannot do that now: ", "(The player ", "(You are at ", '(By "'):
        assert form in last, form
    assert re.search(r"\(You (?:like|distrust|hate|love|are cool)", last)
    assert any(example.messages[1].role == "user" and len(example.messages) > 4 for example in made)


def test_earlier_replies_are_learnt_only_where_they_need_nothing_else(made: list[ChatExample]) -> None:
    n_learnt = 0
    for example in made:
        for n in example.earlier:
            assert example.messages[n].role == "assistant"
            n_learnt += 1
    assert n_learnt > 1.5 * N


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


def test_any_stage_can_be_set(corpus: Corpus) -> None:
    """A run of a hundred thousand must not end at one of them: two things never share an id."""
    cast = [(world, form) for world in corpus.worlds for form in world.form.cast]
    for number in range(3000):
        random = Random(number)
        scene = set_stage(corpus, *random.choice(cast), random).scene
        ids = [entity.id for entity in scene.entities]
        assert len(set(ids)) == len(ids)


def test_a_mistake_in_authored_data_is_shown_with_its_place(tmp_path: Path) -> None:
    for name in ("manners", "worlds", "requests"):
        (tmp_path / name).mkdir()
    (tmp_path / "phrasings.yaml").write_text((DATA / "phrasings.yaml").read_text())
    world = tmp_path / "worlds" / "farm.yaml"
    world.write_text(
        "about: a farm\nscenes: [Noon.]\nactions:\n  milk(cow=object): {does: Milk., do: milk it, did: milked it}\n"
        "  wave(): {does: Wave., do: wave, did: waved, hint: [We must be seen.]}\n"
        "facts: []\ncast:\n  - {name: Jo, role: farmer, manner: loud, persona: You farm.}\n"
    )
    (tmp_path / "requests" / "farm.yaml").write_text(
        "wave:\n  hint: [We must be seen.]\n  talks:\n  - [Who is there?, Neighbours., So?, Shall I wave?]\nmoo: {}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_corpus(tmp_path)
    for mistake in (
        "worlds/farm.yaml:4:3: 'milk it' leaves cow open",
        "worlds/farm.yaml:8:38: manner 'loud' is unknown",
        "requests/farm.yaml:1:1: 'We must be seen.' stands 2 times",
        "requests/farm.yaml:1:1: 'Shall I wave?' is the character's line; a talk ends with the player's",
        "requests/farm.yaml:5:1: 'moo' is no action of worlds/farm.yaml",
    ):
        assert mistake in str(caught.value)


def test_confusions_are_learnt_from_what_was_heard_and_made_again() -> None:
    pairs = [("Ring the bell now please", "Bring the bell now please"), ("Ring the bell", "Ring the bell")]
    assert learn(pairs) == {"ring": {"bring": 1}}
    made = {Mishearing(learn(pairs)).apply("Ring, then, the bell.", Random(n)).lower().rstrip(".") for n in range(40)}
    assert "bring, then, the bell" in made


def test_words_that_run_together_are_learnt_together() -> None:
    table = learn(
        [("Nobody sleeps while the old pump is making noise", "Nobody sleeps while the bold pumpkin making noise")]
    )
    assert table == {"old pump is": {"bold pumpkin": 1}}


def test_a_number_heard_as_another_is_not_taught() -> None:
    assert learn([("Ring the bell twelve times for us", "Ring the bell 12 times for us")]) == {"twelve": {"12": 1}}
    assert learn([("Ring the bell twelve times for us", "Ring the bell twenty times for us")]) == {}


def test_numbers_are_written_as_the_recogniser_writes_them() -> None:
    made = {written("Set it to forty two percent, colour grey.", Random(n)) for n in range(30)}
    assert any("42%" in text for text in made)
    assert all("color gray" in text for text in made)


def test_words_that_sound_alike_are_found_by_their_pronunciation() -> None:
    spoken = {"bear": "bɛɹ", "seam": "sim"}
    candidates = {"bare": "bɛɹ", "pair": "pɛɹ", "same": "sAm", "house": "hWs", "bears": "bɛɹz"}
    assert neighbours(["bear", "seam"], candidates, spoken)["bear"] == ["bare", "pair"]


def test_dealt_details_are_read_and_not_remembered() -> None:
    form = LoreForm(
        fact=["The {ship:@name} has {n:@3..900} oars."],
        qa=[Question(ask=["How many oars has the {ship}?"], say=["{N}."])],
    )
    words = {"name": ["Grace", "Thunder"]}
    made = [deal(form, words, Random(n)) for n in range(20)]
    assert len({told.text for told in made}) > 15
    for told in made:
        asked, said = told.question(Random(0))
        assert said.rstrip(".").lower() in told.text.lower()
        assert told.details["ship"] in asked


@pytest.mark.parametrize(
    ("do", "doing"),
    [("stop the car", "stopping the car"), ("tie a knot", "tying a knot"), ("light it", "lighting it"),
     ("bake bread", "baking bread"), ("see the king", "seeing the king"), ("wave", "waving")],
)  # fmt: skip
def test_gerunds(do: str, doing: str) -> None:
    assert gerund(do) == doing


def test_the_corpus_is_as_large_and_varied_as_it_claims(corpus: Corpus) -> None:
    counts = corpus.counts()
    assert (counts["worlds"] >= 40, counts["characters"] >= 300, counts["actions"] >= 400) == (True, True, True)
    n_parameters = {len(deed.spec.parameters) for world in corpus.worlds for deed in world.deeds}
    assert n_parameters == {0, 1, 2, 3}
    names = [form.name for world in corpus.worlds for form in world.form.cast]
    assert len(set(names)) == len(names)
