from npc.face import Glance, glances
from npc.turn import Word
from npc.world import Entity, Scene

SCENE = Scene(
    places=(Entity(id="mill", name="the old mill"),),
    objects=(Entity(id="sword_3", name="a sword"), Entity(id="axe")),
    characters=(Entity(id="jory", name="Jory"),),
)


def words(text: str) -> tuple[Word, ...]:
    return tuple(Word(word, n * 10_000, (n + 1) * 10_000) for n, word in enumerate(text.split()))


def test_eyes_are_at_a_thing_before_it_is_named_and_come_back() -> None:
    assert glances(words("Take the sword, friend."), SCENE, 24_000, 1000) == (
        Glance(1000 + 20_000 - 6_000, "sword_3"),
        Glance(1000 + 30_000 + 10_800, "player"),
    )


def test_names_of_several_words_are_known_and_one_thing_follows_another_at_once() -> None:
    assert [glance.target for glance in glances(words("Jory, the axe!"), SCENE, 24_000)] == ["jory", "axe", "player"]
    assert [g.target for g in glances(words("To the old mill with you."), SCENE, 24_000)] == ["mill", "player"]


def test_talk_of_nothing_that_is_there_moves_no_eyes() -> None:
    assert glances(words("Fine weather today."), SCENE, 24_000) == ()
    assert glances(words("Take the sword."), Scene(), 24_000) == ()
    assert glances((), SCENE, 24_000) == ()
