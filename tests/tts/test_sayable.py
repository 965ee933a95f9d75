from hypothesis import given
from hypothesis import strategies as st

from npc.tts.sayable import SayableWord, sayable_words


def spoken(text: str) -> list[str]:
    return [word.spoken for word in sayable_words(text)]


@given(st.text())
def test_nothing_but_plain_characters_is_spoken(text: str) -> None:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,;:!?—'()$£€¥%&@#+=/°- ")
    assert set("".join(spoken(text))) <= allowed


@given(st.text())
def test_every_word_that_can_be_seen_is_there_in_order(text: str) -> None:
    seen = ["".join(c for c in chunk if c.isprintable()) for chunk in text.split()]
    letters = [word for word in seen if any(c.isalnum() for c in word)]
    assert [word.visible for word in sayable_words(text) if any(c.isalnum() for c in word.visible)] == letters


def test_link_syntax_cannot_be_reached() -> None:
    assert spoken("[no](/jˈɛs/)") == ["no(/js/)"]
    assert spoken("［no］(/jˈɛs/)") == ["no(/js/)"]  # NFKC would turn these into ASCII brackets


def test_stage_directions_and_emoji_leave_their_words() -> None:
    assert spoken("*smiles* 😀 wel\x07come\u200b") == ["smiles", "welcome"]


def test_accents_are_read_as_plain_letters() -> None:
    assert spoken("naïve Straße Ærø") == ["naive", "Strasse", "AEro"]


def test_words_in_other_scripts_stay_visible_and_silent() -> None:
    assert sayable_words("say привет now") == [
        SayableWord("say", "say"),
        SayableWord("привет", ""),
        SayableWord("now", "now"),
    ]


def test_pauses_between_words_are_kept() -> None:
    assert spoken("well — maybe ... yes !!!") == ["well—", "maybe.", "yes!"]


def test_repeated_signs_are_one() -> None:
    assert spoken("what????!!! wait.......") == ["what?!", "wait..."]


def test_no_at_the_end_of_a_sentence_is_not_an_abbreviation() -> None:
    assert spoken("Oh no. See no. 5") == ["Oh", "no .", "See", "no.", "5"]


def test_what_nobody_says_is_cut() -> None:
    assert len(spoken("x" * 5000)[0]) == 60
    assert spoken("9" * 400 + ".") == ["9" * 15 + "."]
