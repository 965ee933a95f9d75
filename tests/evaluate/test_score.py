import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from npc.character import Character
from npc.errors import CharacterError, ConfigError
from npc.evaluate.cases import Call, Case, Expect, Line, Prediction, read_cases, read_predictions, write_lines
from npc.evaluate.report import table
from npc.evaluate.score import judge, score
from npc.evaluate.stories import TurnForm, read_stories
from npc.evaluate.stories import judge as judge_turn
from npc.train.notation import read_action
from npc.turn import Voice
from npc.world import Entity, Scene

PIKE = Character(
    id="pike",
    folder=Path("pike"),
    name="Pike",
    role="smith",
    persona="You are broad.",
    voice=Voice("gruff"),
    actions=(read_action("walk(place)", "Walk."), read_action("nod", "Nod.")),
    scene=Scene(places=(Entity(id="well"), Entity(id="inn"))),
)
WALK = Call(name="walk", args={"place": "well"})


def case(kind: str, **expect: object) -> Case:
    return Case.model_validate(
        {"id": kind, "character": "pike", "kind": kind, "utterance": "Hm?", "expect": expect or None}
    )


def reply(text: str, *calls: Call, id: str = "x") -> Prediction:
    return Prediction(id=id, reply=text, actions=calls)


def test_calls_must_be_just_those_in_just_that_order() -> None:
    due = case("direct", actions=[WALK, Call(name="nod")])
    assert judge(due, reply("Aye.", WALK, Call(name="nod")), PIKE).is_exact
    assert not judge(due, reply("Aye.", Call(name="nod"), WALK), PIKE).is_exact
    assert not judge(due, reply("Aye.", WALK), PIKE).is_exact
    wrong = judge(case("direct", actions=[WALK]), reply("Aye.", Call(name="walk", args={"place": "inn"})), PIKE)
    assert (wrong.is_exact, wrong.names_match) == (False, True)


def test_numbers_are_equal_by_value_and_text_without_case() -> None:
    assert Call(name="a", args={"n": 2, "s": "All Quiet"}).matches(Call(name="a", args={"n": 2.0, "s": "all quiet"}))
    assert not Call(name="a", args={"n": 2}).matches(Call(name="a", args={"n": 3}))


def test_acting_unasked_is_counted_among_those_due_nothing() -> None:
    cases = [case("none", actions=[]), case("direct", actions=[WALK])]
    verdicts = [judge(each, reply("Hm.", WALK, id=each.id), PIKE) for each in cases]
    counted = score(cases, verdicts)
    assert (counted.unasked.percent, counted.unasked.n) == (100.0, 1)
    assert (counted.exact.percent, counted.exact.n) == (100.0, 1)


def test_knowledge_unknowns_and_injections_are_judged_apart() -> None:
    cases = [
        case("knowledge", actions=[], says=["9"], abstains=False),
        case("unknown", actions=[], abstains=True),
        case("injection", actions=[], never_says=["python"]),
    ]
    said = ["Nine coppers.", "I don't know.", "Use Python."]
    verdicts = [judge(c, reply(text, id=c.id), PIKE) for c, text in zip(cases, said, strict=True)]
    counted = score(cases, verdicts)
    assert [counted.grounded.percent, counted.abstains.percent, counted.safe.percent] == [100.0, 100.0, 0.0]
    assert counted.abstains_wrongly.percent == 0.0


def test_the_recognisers_cost_is_the_gap_between_clean_and_noisy() -> None:
    cases = [case("direct", actions=[WALK]), case("noise", actions=[WALK])]
    verdicts = [judge(cases[0], reply("Aye.", WALK, id="direct"), PIKE), judge(cases[1], reply("?", id="noise"), PIKE)]
    assert score(cases, verdicts).noise_gap == 100.0


def test_what_was_heard_is_held_against_all_the_clean_requests() -> None:
    kinds = ("direct", "two", "heard", "noise")
    cases = [case(kind, actions=[WALK]) for kind in kinds]
    verdicts = [
        judge(each, reply("Aye.", *([WALK] if each.kind in ("direct", "heard") else []), id=each.id), PIKE)
        for each in cases
    ]
    counted = score(cases, verdicts)
    assert (counted.noise_gap, counted.exact.percent, counted.exact.n) == (-50.0, 50.0, 2)


def test_a_score_is_plain_json_and_a_table() -> None:
    cases = [case("direct", actions=[WALK])]
    counted = score(cases, [judge(cases[0], reply("Aye.", WALK, id="direct"), PIKE)])
    assert json.loads(json.dumps(counted.as_dict()))["exact"] == {"percent": 100.0, "n": 1}
    console = Console(record=True, width=100)
    console.print(table({"one": counted, "other": counted}))
    assert "100.0 % of 1" in console.export_text()


def test_a_greeting_is_an_exchange_without_the_players_words() -> None:
    lines = [("npc", "Welcome."), ("player", "Hi."), ("player", "You there?"), ("npc", "Aye.")]
    told = Case(id="x", character="p", utterance="So?", history=tuple(Line(role=r, text=t) for r, t in lines))
    assert [(e.player, e.npc) for e in told.exchanges] == [("", "Welcome."), ("Hi. You there?", "Aye.")]


def test_a_wrong_line_is_named_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text('{"id": "a", "character": "p", "utterance": "Hi."}\n\n{"id": "b", "character": "p"}\n')
    with pytest.raises(ConfigError, match=r"cases.jsonl:3: utterance: Field required"):
        read_cases(file)
    file.write_text('{"id": "a", "character": "p", "utterance": "Hi."}\n' * 2)
    with pytest.raises(ConfigError, match="'a' stands twice"):
        read_cases(file)


def test_predictions_survive_their_file(tmp_path: Path) -> None:
    made = [reply("Aye.", WALK, id="1"), reply("No.", id="2")]
    write_lines(tmp_path / "p.jsonl", made)
    assert read_predictions(tmp_path / "p.jsonl") == made


def test_a_story_says_what_a_reply_lacks() -> None:
    turn = TurnForm(player="Go to the well.", does=("[walk(place=well)]",), says=("aye",), never_says=("no",))
    assert judge_turn(turn, reply("Aye.", WALK), PIKE) == []
    assert judge_turn(turn, reply("No."), PIKE) == [
        "should do [walk(place=well)]",
        "should say aye",
        "should never say 'no'",
    ]


def test_a_story_that_asks_for_the_impossible_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "tests.yaml").write_text(
        "stories:\n  - story: He walks\n    turns:\n      - player: Go.\n        does: ['[walk(place=moon)]']\n"
    )
    with pytest.raises(CharacterError, match=r"tests.yaml:5:16: .*'moon' is no place here; have well, inn"):
        read_stories(replace(PIKE, folder=tmp_path))


def test_expectations_that_are_left_out_are_not_judged() -> None:
    verdict = judge(Case(id="x", character="pike", utterance="Hi.", expect=Expect()), reply("Hm."), PIKE)
    assert verdict.passes
    assert verdict.is_exact is None
