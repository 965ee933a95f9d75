from npc.world import Being, Entity, Scene, Surroundings, perceived, tell_now

HERE = Being(position=(0, 0, 0), at="forge")
SMITHY = Scene(
    places=(Entity(id="forge"), Entity(id="bridge", position=(300, 0, 0))),
    objects=(
        Entity(id="chest", position=(2, 0, 0), state=(("locked", True),)),
        Entity(id="ring", inside="chest"),
        Entity(id="axe", held_by="npc"),
        Entity(id="lamp", held_by="player"),
        Entity(id="bell", at="forge"),
        Entity(id="anvil", near=False, distance=1),
        Entity(id="rumour"),
    ),
    characters=(Entity(id="jory", name="Jory", position=(0, 10, 0), looking_at="npc"),),
    player=Being(position=(0, 2, 0), looking_at="jory", pointing_at="chest"),
    npc=HERE,
)
AROUND = Surroundings(SMITHY)


def test_distance_is_that_of_whoever_holds_the_thing() -> None:
    assert AROUND.distance("chest") == 2
    assert AROUND.distance("ring") == 2
    assert AROUND.distance("lamp") == 2
    assert AROUND.distance("axe") == 0
    assert AROUND.distance("rumour") is None


def test_near_is_what_the_game_says_else_three_metres_else_the_same_place() -> None:
    near = {entity.id for entity in SMITHY.entities if AROUND.is_near(entity.id)}
    assert near == {"forge", "chest", "ring", "axe", "lamp", "bell"}
    assert AROUND.is_near("player")
    assert not Surroundings(Scene()).is_near("player"), "what is not reported is not known"


def test_what_is_far_or_hidden_is_not_noticed() -> None:
    hidden = SMITHY.model_copy(update={"characters": (Entity(id="spy", visible=False), *SMITHY.characters)})
    noticed = {entity.id for entity in perceived(hidden).entities}
    assert noticed == {entity.id for entity in SMITHY.entities} - {"bridge"}


def test_a_thing_at_the_edge_of_sight_does_not_flicker() -> None:
    def at(metres: float) -> Scene:
        return Scene(objects=(Entity(id="owl", distance=metres),))

    seen: set[str] = set()
    noticed = []
    for metres in (41, 39, 41, 39, 49, 51, 49):
        scene = perceived(at(metres), seen=seen)
        seen = {entity.id for entity in scene.entities}
        noticed.append(bool(scene.objects))
    assert noticed == [False, True, True, True, True, False, False]


def test_what_is_of_this_moment_is_told_in_a_few_sentences() -> None:
    assert tell_now(SMITHY) == (
        "The player is 2 metres away, looks at Jory, points at the chest and holds the lamp.",
        "You are at the forge and hold the axe.",
        "Jory looks at you.",
        "The chest is locked.",
    )


def test_a_game_that_reports_nothing_of_the_kind_costs_no_words() -> None:
    assert tell_now(Scene(places=(Entity(id="well"),), objects=(Entity(id="axe"),))) == ()


def test_a_crowd_is_told_in_part_and_a_long_name_cut() -> None:
    crowd = tuple(Entity(id=f"c{n}", name="N" * 300, looking_at="npc", distance=n) for n in range(100))
    notes = tell_now(Scene(characters=crowd))
    assert len(notes) == 6
    assert max(map(len, notes)) < 100
