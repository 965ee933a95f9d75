"""The cases that ship are fair: what is expected can be done, and what is asked can be known."""

import pytest

from npc.actions import parse_call, render_call
from npc.cli.evaluate import HeldOut, material
from npc.evaluate import checks
from npc.evaluate.cases import KINDS, REQUEST_KINDS
from npc.knowledge import read_passages

NOT_IN_EVERY_SET = {"noise"}


@pytest.fixture(params=HeldOut)
def which(request: pytest.FixtureRequest) -> HeldOut:
    return HeldOut(request.param)


def test_every_expected_call_could_be_written(which: HeldOut) -> None:
    cases, cast = material(None, None, which)
    for case in cases:
        character = cast[case.character]
        for call in (case.expect and case.expect.actions) or ():
            act = parse_call(render_call(call.name, call.args, character.actions), character.actions, character.scene)
            assert dict(act.args) == call.args, case.id


def test_every_answer_stands_in_one_passage(which: HeldOut) -> None:
    cases, cast = material(None, None, which)
    passages = {each.id: read_passages(each.knowledge, each.folder) for each in cast.values()}
    for case in cases:
        if case.kind == "knowledge" and case.expect is not None:
            says = case.expect.says
            assert says, case.id
            assert any(checks.is_grounded(passage.text, says) for passage in passages[case.character]), case.id


def test_no_passage_reads_as_ignorance(which: HeldOut) -> None:
    _, cast = material(None, None, which)
    for character in cast.values():
        for passage in read_passages(character.knowledge, character.folder):
            assert not checks.abstains(passage.text), passage.text


def test_what_was_heard_expects_what_was_said(which: HeldOut) -> None:
    cases, _ = material(None, None, which)
    said = {case.id: case for case in cases if case.kind in REQUEST_KINDS}
    heard = [case for case in cases if case.kind == "heard"]
    assert heard
    for case in heard:
        clean = said[case.id.removesuffix("-heard")]
        assert (case.expect, case.history) == (clean.expect, clean.history)


def test_each_set_judges_every_kind(which: HeldOut) -> None:
    cases, _ = material(None, None, which)
    assert {case.kind for case in cases} >= {*KINDS} - NOT_IN_EVERY_SET
