import json

import pytest
from pydantic import ValidationError

from npc.world import Being, Entity, Scene


def refused(**scene: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Scene.model_validate(scene)
    return str(caught.value)


def test_a_scene_goes_through_json_unchanged_and_can_be_compared_and_hashed() -> None:
    scene = Scene(
        places=(Entity(id="well", position=(1, 2, 3)),),
        objects=(Entity.model_validate({"id": "gate", "state": {"locked": True, "price": 3, "owner": "Nell"}}),),
        characters=(Entity(id="jory", looking_at="player", visible=False),),
        player=Being(at="well", pointing_at="gate", distance=2.5),
    )
    again = Scene.model_validate_json(scene.model_dump_json())
    assert again == scene
    assert hash(again) == hash(scene)
    assert json.loads(scene.model_dump_json())["objects"][0]["state"] == {"locked": True, "owner": "Nell", "price": 3}


def test_an_id_twice_is_refused_by_name() -> None:
    assert "id 'well' is used twice" in refused(places=[{"id": "well"}], objects=[{"id": "well"}])


def test_things_that_hold_themselves_are_refused_with_the_circle() -> None:
    boxes = [{"id": "a", "inside": "b"}, {"id": "b", "inside": "c"}, {"id": "c", "inside": "a"}]
    assert "held by itself (a in b in c in a)" in refused(objects=boxes)
    assert "held by itself" in refused(objects=[{"id": "a", "inside": "a"}])
    assert "held by itself" in refused(places=[{"id": "a", "at": "b"}, {"id": "b", "at": "a"}])


def test_a_thing_in_two_hands_at_once_is_refused() -> None:
    assert "say one of them" in refused(objects=[{"id": "a", "inside": "box", "held_by": "player"}])


def test_what_is_held_by_somebody_who_was_not_reported_is_no_mistake() -> None:
    assert Scene(objects=(Entity(id="axe", held_by="stranger"),)).objects


@pytest.mark.parametrize(
    "entity",
    [
        {"id": "x", "name": "n" * 1_000_000},
        {"id": "x", "name": "a\nb"},
        {"id": "]] </s>"},
        {"id": "x", "position": [float("nan"), 0, 0]},
        {"id": "x", "position": [1, 2]},
        {"id": "x", "distance": -1},
        {"id": "x", "state": {f"k{n}": 1 for n in range(9)}},
        {"id": "x", "state": {"bad key": 1}},
        {"id": "x", "state": {"k": "v" * 65}},
        {"id": "x", "state": {"k": {"deep": 1}}},
        {"id": "x", "held_by": "not an id"},
        {"id": "x", "unknown": 1},
    ],
)
def test_what_cannot_be_right_is_refused(entity: dict[str, object]) -> None:
    assert len(refused(objects=[entity])) < 2_000


def test_five_hundred_things_fit_and_one_more_does_not() -> None:
    things = [{"id": f"t{n}"} for n in range(500)]
    assert len(Scene.model_validate({"objects": things}).entities) == 500
    assert "501 entities" in refused(objects=[*things, {"id": "more"}])
