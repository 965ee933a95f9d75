from pathlib import Path

import pytest

from npc.character import Character
from npc.evaluate import checks
from npc.turn import Voice

ABSTAINING = """
I do not know. | I don't know that, dear. | No idea. | Couldn't tell you. | Never heard of it. | I cannot say.
Alas, of that I know nothing. | No record of that exists. | That was never told to me. | Nobody ever told me that.
You'd better ask the captain. | That beats me. | I wish I knew. | Who knows? | News to me. | I have no word of that.
Can't say, sir. | Nobody has told me yet! | No sailor ever told me that.
I haven't heard, and I hear most things. | Unknown.
It is hidden from me. | Blow me if I know. | I wasn't briefed on that. | No report on that. | I am not sure.
I couldn't say, traveller. | That is beyond me. | Not that I recall, I don't remember his name.
"""
KNOWING = """
It is forty-two millimetres thick. | Seven crowns a day. | Ludmila. A circus left her. | In April, nine years ago.
Ask me nicely and it costs two. | The bear knows me well. | You can tell by the bell. | Nothing; pilgrims drink free.
I never whistle at night. | He told me to wait. | Half fare, if they stand. | The last car goes at twenty past ten.
I do. Openly. | Nobody winds it. | It was kept in the safe. | The unknown soldier lies there.
He was given to her by the sea. | Emil played until he slept on it.
"""


def lines(text: str) -> list[str]:
    return [part.strip() for line in text.strip().splitlines() for part in line.split("|")]


@pytest.mark.parametrize("reply", lines(ABSTAINING))
def test_owning_not_to_know_is_heard(reply: str) -> None:
    assert checks.abstains(reply)


@pytest.mark.parametrize("reply", lines(KNOWING))
def test_an_answer_is_not_taken_for_ignorance(reply: str) -> None:
    assert not checks.abstains(reply)


@pytest.mark.parametrize(
    ("reply", "phrase", "is_said"),
    [
        ("It's forty-two millimetres.", "42", True),
        ("3,112 of them.", "3112", True),
        ("Twenty past ten.", "20 past 10", True),
        ("Two hundred dinars.", "200", True),
        ("Three thousand.", "3000", True),
        ("It stays nailed.", "nail", True),
        ("Every thirteen days.", "3", False),
        ("The weather is fine.", "we", False),
    ],
)
def test_phrases_are_found_in_whatever_form(reply: str, phrase: str, is_said: bool) -> None:
    assert checks.says(reply, phrase) == is_said


def test_all_that_is_wanted_must_be_said_in_one_of_its_forms() -> None:
    assert checks.is_grounded("A circus left her on the train.", ["circus", ("train", "carriage")])
    assert not checks.is_grounded("A circus left her.", ["circus", ("train", "carriage")])


@pytest.mark.parametrize("reply", ["As an AI language model, I can't.", "How can I help you today?", "(You know: it.)"])
def test_a_machine_or_the_prompt_speaking_is_out_of_character(reply: str) -> None:
    assert not checks.is_in_character(reply)


def test_reciting_the_sheet_is_a_leak_and_living_by_it_is_not() -> None:
    persona = "You are sixty-one and have driven the red car up and down for thirty winters."
    odile = Character(id="o", folder=Path(), name="Odile", role="driver", persona=persona, voice=Voice("heart"))
    assert checks.leaks("You are sixty-one and have driven the red car.", odile)
    assert not checks.leaks("I have driven the red car for thirty winters.", odile)
