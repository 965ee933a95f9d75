from pathlib import Path

import pytest

from npc.actions import Act, ActionSpec, Parameter
from npc.actions.agreement import Agreement, Mismatch
from npc.actions.requires import read_requires
from npc.character import load_characters
from npc.profile.agreement import judge, read_cases, run_agreement_profile
from npc.world import Entity, Scene

DATA = Path(__file__).parents[1] / "data"
CASES = read_cases(DATA / "agreement.jsonl")
UNSEEN = read_cases(DATA / "agreement_unseen.jsonl")
"""Written after the check, in other words, and not used to improve it."""
GATE = Parameter("thing", "object")
OPEN = ActionSpec("open", "", (GATE,), verbs=("open", "unlock"))
CLOSE = ActionSpec("close", "", (GATE,))
WAVE = ActionSpec("wave", "", is_favour=False)
YARD = Scene(objects=(Entity(id="gate"), Entity(id="door")))


def heard(
    *parts: str | Act, utterance: str = "", actions: tuple[ActionSpec, ...] = (OPEN, CLOSE, WAVE)
) -> list[Mismatch]:
    agreement = Agreement(actions, YARD, utterance=utterance)
    found = []
    for part in parts:
        if isinstance(part, Act):
            mismatch = agreement.act(part)
            found += [mismatch] if mismatch else []
        else:
            agreement.say(part)
    return [*found, *agreement.end()]


def test_a_promise_without_a_deed_is_kept_where_the_words_leave_no_doubt() -> None:
    (mismatch,) = heard("Wait. I'll open the gate.")
    assert (mismatch.kind, mismatch.sentence) == ("promised", "I'll open the gate.")
    assert mismatch.instead == Act("open", {"thing": "gate"})


def test_what_the_player_named_says_what_is_meant() -> None:
    (mismatch,) = heard("Fine, I'll unlock it.", utterance="Please open the door.")
    assert mismatch.instead == Act("open", {"thing": "door"})
    (mismatch,) = heard("Fine, I'll unlock it.")
    assert mismatch.instead is None


def test_a_promise_that_cannot_be_kept_is_left_to_the_model() -> None:
    far = ActionSpec("open", "", (GATE,), requires=read_requires({"near": "thing"}))
    (mismatch,) = heard("I'll open the gate.", actions=(far,))
    assert (mismatch.kind, mismatch.instead) == ("promised", None)


def test_a_deed_that_is_denied_before_or_after_is_dropped() -> None:
    call = Act("open", {"thing": "gate"})
    for parts in (("I won't open the gate.", call), ("Never.", call), (call, "No. I can't open that.")):
        (mismatch,) = heard(*parts)
        assert (mismatch.kind, mismatch.call, mismatch.instead) == ("denied", call, None)


def test_no_to_a_question_is_no_denial_of_a_wave() -> None:
    assert heard("No.", Act("wave", {})) == []
    assert heard("No, wait. I'll open the gate.", Act("open", {"thing": "gate"})) == []


def test_another_thing_than_the_one_spoken_of_is_put_right() -> None:
    (mismatch,) = heard("I'll open the gate.", Act("open", {"thing": "door"}))
    assert mismatch.kind == "other"
    assert mismatch.instead == Act("open", {"thing": "gate"})


@pytest.mark.parametrize(
    "said",
    [
        "If you pay, I'll open the gate.",
        "I'll open the gate tomorrow.",
        "Shall I open the gate?",
        "The gate opens at dawn.",
        "I'll open my heart to you.",
        "I opened the gate this morning.",
        "They will open the gate.",
        "",
    ],
)
def test_talk_of_it_is_no_promise(said: str) -> None:
    assert heard(said) == []


def test_an_action_that_nobody_declared_is_not_judged() -> None:
    assert heard("No.", Act("fly", {})) == []


def test_there_are_enough_cases_for_every_character_and_kind() -> None:
    assert len(CASES) >= 120
    assert {case.character for case in CASES} == set(load_characters())
    for kind in ("agree", "promised", "denied", "other"):
        assert sum(case.label == kind for case in CASES) >= 10


def test_the_check_mends_most_of_what_disagrees_and_spoils_little() -> None:
    report = run_agreement_profile(CASES)
    print({key: value for key, value in report.items() if key != "misjudged"})
    assert report["disagree_before"] > 0.4
    assert report["disagree_after"] <= 0.05
    assert report["precision"] >= 0.95
    assert report["recall"] >= 0.95


def test_in_words_that_it_was_not_made_for_it_misses_much_and_spoils_nothing() -> None:
    report = run_agreement_profile(UNSEEN)
    print({key: value for key, value in report.items() if key != "misjudged"})
    assert report["disagree_after"] < 0.6 * report["disagree_before"]
    assert report["precision"] >= 0.95


def test_a_reply_that_agrees_keeps_its_calls() -> None:
    characters = load_characters()
    for case in CASES:
        if case.label == "agree" and case.wanted == "=":
            assert judge(case, characters[case.character]).calls, case.reply
