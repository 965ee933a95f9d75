import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from npc.errors import InputError
from npc.world import Being, Entity, Scene, SceneDelta, apply_delta

VILLAGE = Scene(
    description="Morning.",
    places=(Entity(id="well"), Entity(id="mill", name="the old mill")),
    objects=(Entity(id="chest"), Entity(id="sword", inside="chest", description="sharp")),
    characters=(Entity(id="jory", distance=4),),
    player=Being(at="well", looking_at="sword"),
)


def delta(**fields: object) -> SceneDelta:
    return SceneDelta.model_validate(fields)


def test_only_what_is_given_changes_and_order_stays() -> None:
    after = apply_delta(VILLAGE, delta(objects=[{"id": "sword", "name": "the blade"}, {"id": "axe"}]))
    assert [entity.id for entity in after.objects] == ["chest", "sword", "axe"]
    sword = after.objects[1]
    assert (sword.name, sword.description, sword.inside) == ("the blade", "sharp", "chest")
    assert after.places == VILLAGE.places
    assert after.description == "Morning."


def test_null_takes_a_value_back() -> None:
    after = apply_delta(VILLAGE, delta(player={"looking_at": None}, characters=[{"id": "jory", "distance": None}]))
    assert after.player == Being(at="well")
    assert after.characters[0].distance is None


def test_what_is_taken_in_hand_leaves_its_container() -> None:
    after = apply_delta(VILLAGE, delta(objects=[{"id": "sword", "held_by": "player"}]))
    assert (after.objects[1].held_by, after.objects[1].inside) == ("player", None)
    back = apply_delta(after, delta(objects=[{"id": "sword", "inside": "chest"}]))
    assert (back.objects[1].held_by, back.objects[1].inside) == (None, "chest")


def test_things_go_and_can_come_back_as_something_else() -> None:
    gone = apply_delta(VILLAGE, delta(remove=["sword"]))
    assert [entity.id for entity in gone.objects] == ["chest"]
    assert apply_delta(gone, delta(characters=[{"id": "sword"}])).characters[-1].id == "sword"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"remove": ["ghost"]}, "'ghost' cannot be removed"),
        ({"objects": [{"id": "axe"}, {"id": "axe"}]}, "'axe' stands twice"),
        ({"objects": [{"id": "sword"}], "remove": ["sword"]}, "'sword' stands twice"),
        ({"objects": [{"id": "well"}]}, "'well' is among the places"),
        ({"objects": [{"id": "chest", "inside": "sword"}]}, "held by itself"),
        ({"objects": [{"id": f"t{n}"} for n in range(496)]}, "501 entities"),
    ],
)
def test_a_delta_that_cannot_be_says_why(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        apply_delta(VILLAGE, delta(**fields))
    assert caught.value.code == "bad-scene"


def test_a_megabyte_of_text_is_refused_before_it_gets_anywhere() -> None:
    with pytest.raises(ValidationError, match="at most 400"):
        delta(objects=[{"id": "x", "description": "a" * 1_000_000}])


ids = st.sampled_from(["a", "b", "c", "d"])
things = st.fixed_dictionaries({"id": ids}, optional={"inside": st.none() | ids, "held_by": st.none() | ids})


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.lists(things, max_size=3), st.lists(ids, max_size=2)), max_size=8))
def test_whatever_deltas_leave_is_a_scene_that_would_be_accepted_whole(
    changes: list[tuple[list[dict[str, object]], list[str]]],
) -> None:
    scene = Scene()
    for objects, remove in changes:
        try:
            scene = apply_delta(scene, delta(objects=objects, remove=remove))
        except InputError:
            continue
        assert Scene.model_validate(scene.model_dump(mode="json")) == scene
