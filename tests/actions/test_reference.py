import pytest

from npc.actions.mentions import Names
from npc.actions.nominate import mentioned
from npc.actions.reference import MAX_RECENT, Referents, explained, now_recent
from npc.world import Being, Entity, Scene

YARD = Scene(
    places=(Entity(id="well"), Entity(id="mill", name="the old mill")),
    objects=(Entity(id="sword"), Entity(id="axe", at="mill"), Entity(id="gate")),
    characters=(Entity(id="jory", name="Jory"),),
)


def meant(utterance: str, recent: tuple[str, ...] = (), **player: str) -> list[str]:
    scene = YARD.model_copy(update={"player": Being(**player)})
    found = Names(scene).find(utterance, Referents(scene, recent))
    return sorted(target for targets in found.targets.values() for target in targets)


@pytest.mark.parametrize(
    ("utterance", "expected"),
    [
        ("Give it to me.", ["sword"]),
        ("Pick it up!", ["sword"]),
        ("Could you hand me that?", ["sword"]),
        ("I'd like to buy that one, please.", ["sword"]),
        ("Bring him here.", ["jory"]),
        ("Drop it!", ["sword"]),
        ("Give the axe to him.", ["axe", "jory"]),
    ],
)
def test_a_pronoun_means_what_was_spoken_of(utterance: str, expected: list[str]) -> None:
    assert meant(utterance, ("sword", "jory")) == expected


@pytest.mark.parametrize(
    ("utterance", "expected"),
    [
        ("Give me that one.", ["axe"]),
        ("Open this, please.", ["axe"]),
        ("Go over there.", ["mill"]),
        ("Walk there and wait.", ["mill"]),
        ("Give it to me.", ["axe"]),
    ],
)
def test_a_demonstrative_means_what_is_pointed_at_and_the_place_where_it_stands(
    utterance: str, expected: list[str]
) -> None:
    assert meant(utterance, pointing_at="axe", looking_at="jory") == expected


def test_pointing_goes_before_looking_and_both_before_what_was_said() -> None:
    assert meant("Take that one.", ("gate",), looking_at="sword") == ["sword"]
    assert meant("Take that one.", ("gate",), looking_at="sword", pointing_at="axe") == ["axe"]
    assert meant("Take it.", ("gate",), looking_at="sword") == ["gate"]
    assert meant("Follow that man.", ("sword",), looking_at="jory") == ["jory"]


@pytest.mark.parametrize(
    "utterance",
    [
        "Hello there!",
        "There is a wolf in the wood.",
        "It is raining.",
        "Stop it now!",
        "That's enough.",
        "I heard that you were hurt.",
        "Is there an inn?",
        "I think that so and so left.",
    ],
)
def test_talk_that_points_at_nothing_is_left_alone(utterance: str) -> None:
    assert meant(utterance, ("sword", "jory", "mill"), pointing_at="axe") == []


def test_without_anything_to_mean_a_pronoun_means_nothing() -> None:
    assert meant("Give it to me.") == []
    assert meant("Give me that one.", looking_at="npc") == []
    assert meant("Take it.", ("gone_from_the_scene",)) == []


def test_the_phrasing_is_compared_with_a_stand_in() -> None:
    scene = YARD.model_copy(update={"player": Being(pointing_at="mill")})
    names = Names(scene)
    assert names.find("Pick it up", Referents(scene, ["sword"])).text == "pick the thing up"
    assert names.find("Go over there!", Referents(scene)).text == "go to the place!"


def test_what_is_meant_is_explained_to_the_model() -> None:
    assert list(explained("Give it to me.", YARD, ["sword"])) == ['By "it" the player means sword.']


def test_the_latest_is_first_and_old_things_are_forgotten() -> None:
    assert mentioned("Is the axe sharper than the sword?", YARD) == ("axe", "sword")
    assert now_recent(("well", "axe"), ("axe", "sword")) == ("sword", "axe", "well")
    assert len(now_recent(tuple(f"t{n}" for n in range(20)), ("sword",))) == MAX_RECENT
