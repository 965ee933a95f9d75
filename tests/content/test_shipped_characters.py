"""What every character that ships promises to a player."""

import re
from pathlib import Path

import pytest

from npc.character import Character, load_characters
from npc.feeling import Feeling, appraise, stir
from npc.knowledge import read_passages
from npc.knowledge.chunks import MAX_WORDS
from npc.turn import Passage

CHARACTERS = load_characters()


@pytest.fixture(params=sorted(CHARACTERS))
def character(request: pytest.FixtureRequest) -> Character:
    return CHARACTERS[request.param]


@pytest.fixture
def passages(character: Character) -> tuple[Passage, ...]:
    return read_passages(character.knowledge, character.folder)


def test_three_characters_ship() -> None:
    assert {"smith", "ramen-cook", "guide"} <= set(CHARACTERS)


def test_each_is_somebody_else(character: Character) -> None:
    others = [other for other in CHARACTERS.values() if other is not character]
    assert character.voice not in [other.voice for other in others]
    assert character.scene.description not in [other.scene.description for other in others]


def test_a_character_has_all_that_makes_one_worth_talking_to(character: Character) -> None:
    assert character.persona
    assert character.style
    assert character.greeting
    assert len(character.goals) >= 2
    assert len(character.limits) >= 2
    assert len(character.emotions) >= 4
    assert len(character.actions) >= 6
    assert len(character.examples) >= 2


def test_a_character_has_gestures_and_a_temper_of_its_own(character: Character) -> None:
    assert len(character.gestures) >= 3
    assert len(character.temper.rules) >= 3


def test_a_character_is_moved_by_what_it_cares_about(character: Character) -> None:
    rule = next(rule for rule in character.temper.rules if rule.words)
    text = f"Tell me about {rule.words[0]}."
    at_first = Feeling.at_first(character.temper)
    assert stir(at_first, character.temper, text, appraise(text)).feeling != at_first


def test_an_example_shows_a_call(character: Character) -> None:
    assert any(re.search(r"\[\w+\(.*\)\]", example.npc) for example in character.examples)


def test_the_scene_has_somewhere_to_go_something_to_hand_over_and_someone_else(character: Character) -> None:
    scene = character.scene
    assert 4 <= len(scene.places) <= 8
    assert 4 <= len(scene.objects) <= 10
    assert 2 <= len(scene.characters) <= 4


def test_the_smith_can_walk_to_the_well() -> None:
    smith = CHARACTERS["smith"]
    assert "well" in [place.id for place in smith.scene.places]
    assert "walk_to" in [action.name for action in smith.actions]


def test_there_is_plenty_to_know_in_several_files(passages: tuple[Passage, ...]) -> None:
    assert len(passages) >= 18
    assert len({passage.file for passage in passages}) >= 3


def test_a_passage_is_short_complete_and_has_a_heading_of_its_own(passages: tuple[Passage, ...]) -> None:
    for passage in passages:
        assert 20 <= len(passage.text.split()) <= MAX_WORDS, passage
        assert passage.text.endswith((".", "?", "!")), passage
    places = [(passage.file, passage.heading) for passage in passages]
    assert len(set(places)) == len(places)


def test_knowledge_can_be_spoken(passages: tuple[Passage, ...]) -> None:
    for passage in passages:
        assert not re.search(r"[\d\[\]{}<>|*_#@/\\]", passage.text), passage
        assert max(len(s.split()) for s in re.split(r"(?<=[.!?]) ", passage.text)) <= 28, passage


def test_every_shipped_folder_is_a_character(character: Character) -> None:
    folders = {path.name for path in Path(character.folder).parent.iterdir() if (path / "knowledge").is_dir()}
    assert folders == set(CHARACTERS)
