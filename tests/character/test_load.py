from pathlib import Path

import pytest

from npc.actions import ActionSpec, Parameter
from npc.actions.library import ActionLibrary
from npc.character import Characters, check_character, load_character
from npc.character.mistakes import duplicate_names
from npc.config import TurnTaking
from npc.errors import CharacterError

VOICES = {"gruff": "low and rough", "bright": "high and quick"}
LIBRARY = ActionLibrary(
    [
        ActionSpec("walk_to", "Walk to a place.", (Parameter("place", "place"),)),
        ActionSpec("wave", "Wave."),
    ]
)

MIRA = """\
name: Mira Holt
role: blacksmith of Ashford
persona: >
  You have kept the forge for twenty years
  and trust iron more than words.
voice: {name: gruff, speed: 0.95}
style: Short, dry sentences.
greeting: Aye? What is it?
goals:
  - Sell the horseshoes before market day.
limits:
  - Never lends the master's hammer.
emotions: [calm, proud]
actions: [walk_to, wave]
examples:
  - player: Can you walk to the well?
    npc: Aye. [walk_to(place=well)]
scene:
  description: The forge is warm.
  places:
    - well
    - {id: mill, name: the old mill}
turn_taking: {endpoint_ms: 300}
sampling: {temperature: 0.4}
"""

BARE = "name: Ann\nrole: cook\npersona: You cook.\nvoice: bright\n"


def write(folder: Path, sheet: str | bytes, **knowledge: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "character.yaml").write_bytes(sheet if isinstance(sheet, bytes) else sheet.encode())
    (folder / "knowledge").mkdir(exist_ok=True)
    for name, text in knowledge.items():
        (folder / "knowledge" / f"{name}.md").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def mistakes(folder: Path) -> list[str]:
    """Without the folder, so that they can be compared."""
    return [str(mistake).replace(f"{folder}/", "") for mistake in check_character(folder, LIBRARY, VOICES)]


def test_a_character_is_what_its_folder_says(tmp_path: Path) -> None:
    folder = write(tmp_path / "mira", MIRA, forge="# The forge\nIt burns.", ashford="# Ashford\nA village.")
    mira = load_character(folder, LIBRARY, VOICES)
    assert (mira.id, mira.name) == ("mira", "Mira Holt")
    assert mira.persona == "You have kept the forge for twenty years and trust iron more than words."
    assert (mira.voice.name, mira.voice.speed, mira.voice.pitch) == ("gruff", 0.95, 1.0)
    assert [action.name for action in mira.actions] == ["walk_to", "wave"]
    assert [place.spoken_name for place in mira.scene.places] == ["well", "the old mill"]
    assert [file.name for file in mira.knowledge] == ["ashford.md", "forge.md"]
    assert mira.examples[0].npc == "Aye. [walk_to(place=well)]"
    assert mira.sampling.temperature == 0.4
    taking = mira.turn_taking(TurnTaking(pause_ms=120))
    assert (taking.endpoint_ms, taking.pause_ms) == (300, 120)


def test_name_role_persona_and_voice_are_enough(tmp_path: Path) -> None:
    ann = load_character(write(tmp_path / "ann", BARE), LIBRARY, VOICES)
    assert (ann.actions, ann.knowledge, ann.scene.places) == ((), (), ())


@pytest.mark.parametrize(
    ("sheet", "expected"),
    [
        (BARE.replace("persona", "persnoa"), "character.yaml:3:1: unknown key 'persnoa'; did you mean 'persona'?"),
        (BARE.replace("persona", "persnoa"), "character.yaml:1:1: key 'persona' is missing: who the character is"),
        (BARE.replace("bright", "brigth"), "character.yaml:4:8: voice 'brigth' is unknown; did you mean 'bright'?"),
        (BARE.replace("bright", "anna"), "character.yaml:4:8: voice 'anna' is unknown; have gruff, bright"),
        (BARE.replace("bright", "{name: x}"), "character.yaml:4:15: voice 'x' is unknown"),
        (BARE.replace("bright", "{name: gruff, speed: fast}"), "4:29: speed: a number is wanted, not 'fast'"),
        (BARE.replace("bright", "{name: gruff, speed: true}"), "4:29: speed: a number is wanted, not true"),
        (BARE.replace("bright", "{name: gruff, speed: 3}"), "speed: the number 3 is out of range; at most 2 is wanted"),
        (BARE.replace("bright", "{name: gruff, pitch: 0.5}"), "4:8: voice 'gruff': pitch is 0.5; with this voice it"),
        (BARE.replace("Ann", "[a]"), "character.yaml:1:7: name: text is wanted, not a list"),
        (BARE.replace("Ann", "42"), "character.yaml:1:7: name: text is wanted, not the number 42"),
        (BARE.replace("You cook.", ""), "character.yaml:3:1: persona: text is wanted, not nothing"),
        (BARE.replace("You cook.", '"  "'), "character.yaml:3:10: persona: is empty"),
        (BARE.replace("You cook.", "x" * 801), "3:10: persona: has 801 characters; at most 800 fit"),
        (BARE + "role: baker\n", "character.yaml:5:1: key 'role' stands twice; first on line 2"),
        (BARE + "actions: [wlak_to]\n", "5:11: there is no action 'wlak_to'; did you mean 'walk_to'?"),
        (BARE + "actions: [fly]\n", "5:11: there is no action 'fly'; have"),
        (BARE + "actions: [wave, wave]\n", "5:17: 'wave' stands twice; first on line 5"),
        (BARE + "actions: wave\n", "5:10: actions: a list is wanted, one item a line behind '- ', not 'wave'"),
        (BARE + "goals: [1]\n", "5:9: goals: text is wanted, not the number 1"),
        (
            BARE + "knowledge: [lore.md]\n",
            "knowledge file 'lore.md' is missing; did you mean 'knowledge/lore.md'?",
        ),
        (BARE + "knowledge: [../secret.md]\n", "5:13: '../secret.md' is not a path within the character's folder"),
        (BARE + "knowledge: [/etc/passwd]\n", "5:13: '/etc/passwd' is not a path within the character's folder"),
        (BARE + "scene: {places: [well, well]}\n", "5:24: id 'well' stands twice in the scene; first on line 5"),
        (BARE + "scene: {places: [the well]}\n", "5:18: id: 'the well' is not legal; use letters, digits and _ . -"),
        (BARE + "scene: {place: [well]}\n", "5:9: unknown key 'place'; did you mean 'places'?"),
        (BARE + "scene: {objects: [{id: a, nmae: b}]}\n", "5:27: unknown key 'nmae'; did you mean 'name'?"),
        (BARE + "turn_taking: {endpoint: 300}\n", "5:15: unknown key 'endpoint'; did you mean 'endpoint_ms'?"),
        (BARE + "sampling: {temperature: 9}\n", "temperature: the number 9 is out of range; at most 2 is wanted"),
        (BARE + "examples: [{player: hi}]\n", "5:12: key 'npc' is missing: what the character answers"),
        (BARE + 'examples: [{player: hi, npc: "[wave()]"}]\n', "5:30: [wave()] could not be done"),
        (BARE + "\tgoals: []\n", "5:1: this is not YAML: a tab; indent with spaces"),
        (BARE + "goals: [a\n", "this is not YAML"),
        (BARE + "1: a\n", "5:1: key 1 is not text; put it in quotes"),
        ("just words", "character.yaml:1:1: keys with values are wanted, not 'just words'"),
        ("", "character.yaml:1:1: the file is empty"),
        (b"name: Ann\nrole: caf\xe9\n", "character.yaml:2:10: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("a: &a [*a]\n", "unfold without end"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    ],
)
def test_a_mistake_is_found_with_its_place_and_what_would_be_right(
    tmp_path: Path, sheet: str | bytes, expected: str
) -> None:
    folder = write(tmp_path / "ann", sheet, lore="# Lore\nWords.")
    found = mistakes(folder)
    assert any(expected in mistake for mistake in found), found


def test_all_mistakes_are_found_in_one_go(tmp_path: Path) -> None:
    sheet = BARE.replace("bright", "anna") + "actions: [fly]\nknowledge: [none.md]\nscene: {places: [a, a]}\n"
    folder = write(tmp_path / "ann", sheet)
    (folder / "actions.yaml").write_text("actions:\n  - {name: Jump, description: Jump.}\n")
    assert [mistake.partition(":")[0] for mistake in mistakes(folder)] == ["actions.yaml"] + 4 * ["character.yaml"]


def test_knowledge_that_is_empty_or_unreadable_is_a_mistake(tmp_path: Path) -> None:
    folder = write(tmp_path / "ann", BARE, empty=" \n", latin=b"caf\xe9")
    assert mistakes(folder) == [
        "knowledge/empty.md:1:1: the file is empty; write what the character knows, or remove it",
        "knowledge/latin.md:1:4: byte 0xe9 is not UTF-8; save the file as UTF-8",
    ]


def test_a_folder_name_that_is_no_id_is_a_mistake(tmp_path: Path) -> None:
    assert "'Old Ann' is no legal id" in mistakes(write(tmp_path / "Old Ann", BARE))[0]


def test_actions_of_its_own_stand_beside_the_library(tmp_path: Path) -> None:
    folder = write(tmp_path / "ann", BARE + "actions: [wave, stir]\n")
    (folder / "actions.yaml").write_text("actions:\n  - {name: stir, description: Stir the pot.}\n")
    assert [action.name for action in load_character(folder, LIBRARY, VOICES).actions] == ["wave", "stir"]


def test_two_characters_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    first = load_character(write(tmp_path / "ann", BARE), LIBRARY, VOICES)
    second = load_character(write(tmp_path / "anna", BARE.replace("Ann", "ANN")), LIBRARY, VOICES)
    (mistake,) = duplicate_names([first, second])
    assert str(mistake).endswith(f"1:7: name 'ANN' is taken by {tmp_path / 'ann' / 'character.yaml'}; rename one")


def test_the_error_of_loading_holds_every_mistake(tmp_path: Path) -> None:
    folder = write(tmp_path / "ann", BARE.replace("bright", "anna") + "actions: [fly]\n")
    with pytest.raises(CharacterError) as caught:
        load_character(folder, LIBRARY, VOICES)
    assert len(caught.value.mistakes) == 2
    assert str(caught.value).count("\n") == 1


def test_asking_for_a_character_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    characters = Characters([load_character(write(tmp_path / "ann", BARE), LIBRARY, VOICES)])
    assert characters.find("ann").name == "Ann"
    with pytest.raises(CharacterError, match="there is no character 'smith'; have ann"):
        characters.find("smith")


FEELINGS = """\
emotions:
  - proud
  - {name: hangry, like: {anger: 0.6, joy: 0.1}}
  - {name: grumbly, like: gruff}
gestures: [shrug]
feeling:
  mood: 10
  regard: -20
  mood_half_life_s: 60
  rules:
    - {words: mine, mood: -10, note: You do not go there.}
    - {hears: [thanks, praise], regard: 5}
    - {action: wave, outcome: failed, mood: -3}
"""


def test_feelings_gestures_and_what_moves_them_are_read(tmp_path: Path) -> None:
    ann = load_character(write(tmp_path / "ann", BARE + "actions: [wave]\n" + FEELINGS), LIBRARY, VOICES)
    assert ann.emotions == ("proud", "hangry", "grumbly")
    assert ann.own_emotions["hangry"] == {"anger": 0.6, "joy": 0.1}
    assert set(ann.own_emotions["grumbly"]) == {"anger"}
    assert [expression.name for expression in ann.expressions] == ["feel", "gesture"]
    assert (ann.temper.mood, ann.temper.regard, ann.temper.mood_half_life_s) == (10, -20, 60)
    words, tones, wave = ann.temper.rules
    assert (words.words, words.note) == (("mine",), "You do not go there.")
    assert set(tones.tones) == {"thanks", "praise"}
    assert (wave.action, wave.outcome, wave.mood) == ("wave", "failed", -3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("emotions: [hangry]", "emotion 'hangry' is not known; did you mean 'angry'? Or say what it is like"),
        ("emotions: [{name: grim, like: stearn}]", "emotion 'stearn' is not known; did you mean 'stern'?"),
        ("emotions: [{name: grim, like: {rage: 0.5}}]", "emotion 'rage' is not known"),
        ("emotions: [{name: grim, like: {anger: 2}}]", "2 is out of range"),
        ("gestures: [a b]", "'a b' is no gesture's name"),
        ("gestures: [nod, nod]", "'nod' stands twice"),
        ("feeling: {regard: 200}", "200 is out of range"),
        ("feeling: {rules: [{hears: insullt, mood: -1}]}", "did you mean 'insult'?"),
        ("feeling: {rules: [{hears: insult, words: mine, mood: -1}]}", "one of hears, words and action"),
        ("feeling: {rules: [{action: fly, mood: -1}]}", "'fly' is none of the actions"),
        ("feeling: {rules: [{words: mine}]}", "the rule moves nothing"),
    ],
)
def test_a_mistake_in_feelings_is_told(tmp_path: Path, text: str, message: str) -> None:
    found = mistakes(write(tmp_path / "ann", f"{BARE}{text}\n"))
    assert len(found) == 1, found
    assert message in found[0]
    assert found[0].startswith("character.yaml:5:")


def test_reactions_are_kept_in_their_order_and_an_unknown_one_is_named(tmp_path):
    folder = tmp_path / "mira"
    folder.mkdir()
    (folder / "character.yaml").write_text(MIRA + "reactions: [nod, gaze]\n")
    assert load_character(folder, LIBRARY, VOICES).reactions == ("nod", "gaze")
    (folder / "character.yaml").write_text(MIRA + "reactions: [sneeze]\n")
    [mistake] = check_character(folder, LIBRARY, VOICES)
    assert "'sneeze' is not known; have 'gaze', 'nod' or 'breath'" in mistake.message
