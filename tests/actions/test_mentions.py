"""What an utterance names, however it is spelled, and what a call may then target."""

from dataclasses import replace

import pytest

from npc.actions import ActionSpec, Parameter
from npc.actions.mentions import names_of
from npc.actions.reference import Referents
from npc.actions.spelling import in_words
from npc.feeling import Heart
from npc.moment import grammar_of, take_in
from npc.state import SessionState
from npc.testing import scripted_character
from npc.world import Entity, Scene

SCENE = Scene(
    places=(Entity(id="well", name="the old well"), Entity(id="gate", name="the south gate")),
    objects=(
        Entity(id="lamp", name="the lamp"),
        Entity(id="suit_of_armour", name="the suit of armour"),
        Entity(id="case_four", name="case four"),
        Entity(id="waterskin", name="the waterskin"),
    ),
    characters=(Entity(id="mate", name="Jonas"),),
)


def meant(utterance: str, *recent: str) -> dict[str, tuple[str, ...]]:
    return dict(names_of(SCENE).meant(utterance, Referents(SCENE, recent)))


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("That armor is grey with dust.", "suit_of_armour"),
        ("Fill the water skin!", "waterskin"),
        ("Open up the Southgate keeper", "gate"),
        ("unlock case 4.", "case_four"),
        ("Unlock case four", "case_four"),
        ("The south-gate, please", "gate"),
        ("Is the well deep?", "well"),
    ],
)
def test_a_name_is_found_however_it_is_spelled(said: str, named: str) -> None:
    assert names_of(SCENE).find(said).in_order == (named,)


def test_other_words_are_no_names() -> None:
    assert names_of(SCENE).find("The lamplighter farewells 14 cases, 4.5 miles off.").in_order == ()
    assert in_words("3 of 21, 4.5 or v2, 7.") == "three of 21, 4.5 or v2, seven."


@pytest.mark.parametrize(
    ("said", "targets"),
    [
        ("Dust that armour.", {"object": ("suit_of_armour",)}),
        ("It is dark, light the lamp.", {"object": ("lamp",)}),
        ("Take the lamp and put it in the well.", {"object": ("lamp",), "place": ("well",)}),
        ("Give Jonas the lamp.", {"object": ("lamp",), "character": ("mate", "player")}),
    ],
)
def test_what_is_named_is_meant(said: str, targets: dict[str, tuple[str, ...]]) -> None:
    assert meant(said) == targets


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("The lamp is dark. Light the other one.", "object"),
        ("Put it beside the lamp.", "object"),
        ("Not the lamp, that!", "object"),
        ("Jonas is tired, ask somebody else.", "character"),
        ("From the well, walk over there.", "place"),
    ],
)
def test_what_is_not_named_may_be_meant_too(said: str, kind: str) -> None:
    assert kind not in meant(said)


def test_a_pronoun_that_is_understood_counts_as_a_name() -> None:
    assert meant("Put it on the lamp.", "waterskin") == {"object": ("lamp", "waterskin")}


def test_a_call_cannot_target_something_else_than_what_was_named() -> None:
    fetch = ActionSpec("fetch", "Fetch a thing.", (Parameter("what", "object"),))
    character = replace(scripted_character(), actions=(fetch,), scene=SCENE)
    state = SessionState(SCENE, Heart.at_first(character.temper))

    def may_fetch(said: str, target: str) -> bool:
        return target in grammar_of(character, take_in(character, state, SCENE, said, None, 0.0), None).lark

    assert may_fetch("Fetch the lamp.", "lamp")
    assert not may_fetch("Fetch the lamp.", "waterskin")
    assert may_fetch("Fetch the other one, not the lamp.", "waterskin")
