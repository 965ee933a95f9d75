import enum
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from npc.actions import ActionLibrary, ActionSpec, Parameter, load_library
from npc.actions.declare import Action, Place, Someone, Thing, read_actions, spec_of
from npc.errors import ConfigError


class Mood(enum.Enum):
    GLAD = "glad"
    SAD = "sad"


class LendOut(Action):
    """Lend a thing
    to somebody."""

    examples = ("lend me the {item}",)

    item: Thing
    to: Someone | None = None
    where: Annotated[Place, Field(description="where to bring it back")] = ""
    days: Annotated[int, Field(ge=1, le=30)] = 1
    price: Annotated[float, Field(le=9.5)] = 0
    words: str = ""
    mood: Mood = Mood.GLAD
    pace: Literal["slow", "fast"] = "slow"


def test_a_model_becomes_a_spec() -> None:
    assert spec_of(LendOut) == ActionSpec(
        name="lend_out",
        description="Lend a thing to somebody.",
        parameters=(
            Parameter("item", "object"),
            Parameter("to", "character", is_optional=True),
            Parameter("where", "place", "where to bring it back", is_optional=True),
            Parameter("days", "number", minimum=1, maximum=30, is_integer=True, is_optional=True),
            Parameter("price", "number", maximum=9.5, is_optional=True),
            Parameter("words", "string", is_optional=True),
            Parameter("mood", "enum", choices=("glad", "sad"), is_optional=True),
            Parameter("pace", "enum", choices=("slow", "fast"), is_optional=True),
        ),
        examples=("lend me the {item}",),
        source=f"{__name__}.LendOut",
    )


def test_what_cannot_be_a_parameter_says_what_can() -> None:
    class Carry(Action):
        """Carry things."""

        things: list[str]

    class Pay(Action):
        """Pay."""

        coins: Annotated[int, Field(gt=0)]

    class Silent(Action):
        item: Thing

    with pytest.raises(ConfigError, match=r"parameter 'things' is of type.*use Place, Thing, Someone"):
        spec_of(Carry)
    with pytest.raises(ConfigError, match=r"bounds are stated with ge and le"):
        spec_of(Pay)
    with pytest.raises(ConfigError, match=r"has no docstring"):
        spec_of(Silent)


def test_an_example_that_names_no_parameter_is_refused() -> None:
    class Hum(Action):
        """Hum."""

        examples = ("hum the {song}",)

    with pytest.raises(ConfigError, match=r"'hum the {song}' names no parameter; have none"):
        spec_of(Hum)


YAML = """\
actions:
  - name: brew
    description: Brew a potion.
    parameters:
      at: place
      strength: {type: number, minimum: 1, maximum: 5, whole: true}
      taste: {type: enum, choices: [sweet, bitter], optional: true}
    examples: ["brew something at the {at}"]
"""


def test_yaml_declares_the_same(tmp_path: Path) -> None:
    file = tmp_path / "magic.yaml"
    file.write_text(YAML)
    (brew,), mistakes = read_actions(file)
    assert mistakes == []
    assert brew.parameters == (
        Parameter("at", "place"),
        Parameter("strength", "number", minimum=1, maximum=5, is_integer=True),
        Parameter("taste", "enum", choices=("sweet", "bitter"), is_optional=True),
    )


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("name: brew", "nmae: brew", "2:5: unknown key 'nmae'; did you mean 'name'?"),
        ("name: brew", "name: Brew It", "2:11: action 'Brew It': a name has lowercase letters"),
        ("at: place", "at: plaec", "5:11: type: 'plaec' is not known; did you mean 'place'?"),
        ("at: place", "at: [place]", "5:11: at: keys with values are wanted, not a list"),
        ("minimum: 1", "minimum: 9", "6:7: parameter 'strength': 9.0 to 5.0 is no range"),
        ("minimum: 1", "minimum: low", "minimum: a number is wanted, not 'low'"),
        (
            "choices: [sweet, bitter]",
            "choices: [very sweet]",
            "7:7: parameter 'taste': choice 'very sweet' is not one word",
        ),
        ("choices: [sweet, bitter], ", "", "7:7: parameter 'taste': choices belong to an enum"),
        ("whole: true", "whole: 3", "whole: true or false is wanted, not the number 3"),
        ("{at}", "{spot}", "names no parameter; have at, strength, taste"),
        ("description: Brew a potion.", "description: ''", "3:18: description: is empty"),
        ("actions:\n", "actoins:\n", "1:1: unknown key 'actoins'; did you mean 'actions'?"),
    ],
)
def test_mistakes_in_yaml_have_their_place(tmp_path: Path, wrong: str, right: str, expected: str) -> None:
    file = tmp_path / "magic.yaml"
    file.write_text(YAML.replace(wrong, right))
    found = [str(mistake) for mistake in read_actions(file)[1]]
    assert any(expected in mistake for mistake in found), found


def test_an_action_that_stands_twice_in_a_file_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "magic.yaml"
    file.write_text(YAML + YAML.partition("\n")[2])
    (mistake,) = read_actions(file)[1]
    assert mistake.line == 9
    assert "action 'brew' is declared twice" in mistake.message


def test_the_library_that_ships_loads_and_covers_its_themes() -> None:
    library = load_library()
    assert len(library) >= 14
    assert {"walk_to", "follow", "give", "attack", "open", "wave"} <= set(library)
    assert all(action.examples and action.counter_examples for action in library.values())
    assert library["wave"].source.endswith("social.yaml")


def test_packages_folders_and_files_make_one_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "spells_for_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "fire.py").write_text(
        'from npc.actions.declare import Action\nclass CastFire(Action):\n    """Cast fire."""\n'
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "magic.yaml").write_text(YAML)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(load_library("spells_for_a_test", tmp_path / "more")) == {"cast_fire", "brew"}
    sys.modules.pop("spells_for_a_test", None)


def test_two_actions_of_one_name_are_an_error_that_names_both_sources(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(YAML)
    second.write_text(YAML)
    with pytest.raises(ConfigError, match=r"action 'brew' is declared in .*a\.yaml and in .*b\.yaml"):
        load_library(first, second)


def test_every_mistake_of_every_file_is_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("actions: 1\n")
    (tmp_path / "b.yaml").write_text("")
    with pytest.raises(ConfigError) as caught:
        load_library(tmp_path)
    assert len(caught.value.mistakes) == 2


def test_a_package_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no Python package 'npc.content.nothing'"):
        load_library("npc.content.nothing")


def test_a_library_grows_without_changing() -> None:
    base = ActionLibrary([ActionSpec("wave", "Wave.")])
    assert set(base.extended([ActionSpec("bow", "Bow.")])) == {"wave", "bow"}
    assert set(base) == {"wave"}
