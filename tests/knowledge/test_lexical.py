import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.knowledge.lexical import LexicalIndex

TEXTS = [
    "A horseshoe costs three coppers.",
    "The well on the green is forty feet deep.",
    "Nell keeps the inn on the green.",
    "This place is quiet.",
    "That place is loud.",
]


def best(question: str) -> int | None:
    scores = LexicalIndex(TEXTS).scores(question)
    return int(scores.argmax()) if scores.max() > 0 else None


@pytest.mark.parametrize(
    ("question", "row"),
    [
        ("how deep are wells", 1),
        ("who's Nell", 2),
        ("what would a horse shoe cost", 0),
        ("the costs of horseshoes please", 0),
        ("HORSESHOE!", 0),
        ("tell me, what do you think about that?", None),
        ("dragons", None),
        ("", None),
        ("?!", None),
    ],
)
def test_words_are_found_whatever_their_form(question: str, row: int | None) -> None:
    assert best(question) == row


def test_words_that_no_text_has_count_against_all() -> None:
    index = LexicalIndex(TEXTS)
    assert index.scores("Nell the astronaut of Saturn").max() < index.scores("Nell").max() / 2


def test_a_question_of_a_common_word_alone_is_worth_less_than_a_rare_one() -> None:
    index = LexicalIndex(TEXTS)
    assert 0 < index.scores("what is this place?").max() < index.scores("how deep?").max()


@given(st.text(max_size=60))
def test_a_score_is_a_share(question: str) -> None:
    scores = LexicalIndex(TEXTS).scores(question)
    assert scores.shape == (len(TEXTS),)
    assert np.all((scores >= 0) & (scores <= 1))


@pytest.mark.parametrize("texts", [[], [""], ["the of and"], ["one"]])
def test_texts_with_nothing_in_them_are_no_error(texts: list[str]) -> None:
    assert LexicalIndex(texts).scores("where is the well").tolist() == [0.0] * len(texts)


def test_the_only_text_can_be_found() -> None:
    assert LexicalIndex(["The well is deep."]).scores("well")[0] > 0
