"""How long a pause may be: by what was said, what was asked, how it sounded, and how eager the character is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.config import TurnTaking
from npc.turntaking import Evidence, endpoint_ms
from npc.turntaking.completeness import completeness
from npc.turntaking.material import scripts

USUAL = TurnTaking()
NAME = "What is your name?"


def wait(transcript: str, asked: str = "", smart_turn: float | None = None, settings: TurnTaking = USUAL) -> int:
    return endpoint_ms(Evidence(transcript, smart_turn, asked), settings)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("How much is the long sword?", ""),
        ("Where do you come from?", ""),
        ("Where can I find the old mill?", ""),
        ("Thank you.", ""),
        ("Good morning.", ""),
        ("Hello.", ""),
        ("I don't think so.", ""),
        ("No, I don't think so.", ""),
        ("Can you show me the sword?", ""),
        ("Could you mend this shield before nightfall?", ""),
        ("If you have one, I would like to see it.", ""),
        ("When did you see him last?", ""),
        ("The red one.", "Which one would you like?"),
        ("Yes.", "Do you have the money?"),
        ("Robert.", NAME),
        ("I found this ring in the forest.", ""),
    ],
)
def test_who_has_said_it_all_waits_a_moment_only(said: str, asked: str) -> None:
    assert wait(said, asked) <= 1100


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("I'd like to buy", ""),
        ("I'd like to buy a", ""),
        ("I'd like to buy.", ""),
        ("Can you tell me where", ""),
        ("Can you tell me?", ""),
        ("I was wondering if...", ""),
        ("Well, I came from the city because", ""),
        ("I want some bread and", ""),
        ("My name is", NAME),
        ("If I bring you the herbs", ""),
        ("When I was in the tower.", ""),
        ("Um", ""),
        ("The", "Which one would you like?"),
        ("What do you know about the", ""),
        ("What would you", ""),
        ("I would like to go to the-", ""),
    ],
)
def test_who_has_plainly_not_finished_is_given_time(said: str, asked: str) -> None:
    assert wait(said, asked) >= 1000


def test_one_word_is_an_answer_but_no_sentence() -> None:
    assert wait("Robert.", asked=NAME) < wait("Robert.", asked="My name is Mira.")
    assert wait("Robert.", asked="Nice weather. What is your name? ") == wait("Robert.", asked=NAME)


def test_a_voice_that_sounds_finished_is_answered_sooner() -> None:
    said = "I found this ring in the forest"
    assert wait(said, smart_turn=0.95) < wait(said) < wait(said, smart_turn=0.05)


def test_a_certain_verdict_of_the_voice_does_not_outweigh_the_words() -> None:
    assert wait("I'd like to buy a", smart_turn=1.0) >= 850
    assert wait("I'd like to buy a", smart_turn=0.0) <= USUAL.max_endpoint_ms


def test_before_the_words_are_known_it_waits_for_them() -> None:
    assert wait("How much is the long sword?") < endpoint_ms(Evidence(), USUAL)
    assert endpoint_ms(Evidence(smart_turn=0.9), USUAL) < endpoint_ms(Evidence(), USUAL)


def test_nothing_recognised_in_a_sound_ends_no_sooner_than_a_sentence() -> None:
    assert wait("") > wait("How much is the long sword?")


def test_the_bounds_of_the_settings_hold() -> None:
    eager = TurnTaking(eagerness=1, min_endpoint_ms=150)
    patient = TurnTaking(eagerness=0, max_endpoint_ms=900)
    assert wait("How much is the long sword by the door?", smart_turn=0.99, settings=eager) == 150
    assert wait("I'd like to buy a", settings=patient) == 900


def test_a_language_that_is_not_known_is_judged_by_its_punctuation() -> None:
    whole, broken_off = "Wie viel kostet das lange Schwert dort drüben?", "Wie viel kostet das lange Schwert dort..."
    assert wait(whole) < wait(broken_off)
    assert wait("長い剣はいくらですか") <= USUAL.max_endpoint_ms


def test_a_turn_looks_more_complete_at_its_end_than_at_the_breaks_in_mid_clause() -> None:
    turns = [turn for turn in scripts("judging") if "mid-clause" in turn.places]
    wins = ties = n = 0
    for turn in turns:
        for i, place in enumerate(turn.places):
            if place == "mid-clause":
                at_break = completeness(" ".join(turn.parts[: i + 1]), turn.asked)
                n += 1
                wins += completeness(turn.words, turn.asked) > at_break
                ties += completeness(turn.words, turn.asked) == at_break
    assert (wins + ties / 2) / n > 0.9


@given(
    st.text(max_size=200),
    st.text(max_size=60),
    st.none() | st.floats(0, 1),
    st.floats(0, 1),
)
def test_whatever_is_heard_the_wait_is_in_bounds_and_eagerness_never_prolongs_it(
    said: str, asked: str, smart_turn: float | None, eagerness: float
) -> None:
    evidence = Evidence(said, smart_turn, asked)
    waits = [endpoint_ms(evidence, TurnTaking(eagerness=value)) for value in (0.0, eagerness, 1.0)]
    assert waits == sorted(waits, reverse=True)
    assert all(USUAL.min_endpoint_ms <= each <= USUAL.max_endpoint_ms for each in waits)
