import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from npc.cli.check import check

app = typer.Typer()
app.command()(check)

ANN = "name: Ann\nrole: cook\npersona: You cook.\nvoice: bright\nactions: [wave]\n"


def write(folder: Path, sheet: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "character.yaml").write_text(sheet)
    return folder


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_what_ships_is_without_mistakes() -> None:
    code, output = run()
    assert code == 0, output
    assert "3 characters" in output


def test_each_mistake_is_a_line_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "cast" / "ann", ANN.replace("wave", "wvae").replace("bright", "brihgt"))
    write(tmp_path / "cast" / "bob", ANN)
    monkeypatch.chdir(tmp_path)
    code, output = run("cast")
    assert code == 1
    assert output.splitlines() == [
        "cast/ann/character.yaml:4:8: voice 'brihgt' is unknown; did you mean 'bright'?",
        "cast/ann/character.yaml:5:11: there is no action 'wvae'; did you mean 'wave'?",
        "2 mistakes; 1 character (Ann) without",
    ]


def test_json_holds_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path / "ann", ANN.replace("name: Ann", "nmae: Ann"))
    code, output = run("--json", folder)
    assert code == 1
    answer = json.loads(output)
    assert answer["characters"] == []
    assert {mistake["message"] for mistake in answer["mistakes"]} == {
        "unknown key 'nmae'; did you mean 'name'?",
        "key 'name' is missing: what people call the character",
    }
    assert {(mistake["line"], mistake["column"]) for mistake in answer["mistakes"]} == {(1, 1)}


def test_actions_of_one_s_own_are_checked_and_known(tmp_path: Path) -> None:
    folder = write(tmp_path / "ann", ANN.replace("wave", "stir"))
    actions = tmp_path / "kitchen.yaml"
    actions.write_text("actions:\n  - {name: stir, description: Stir the pot.}\n")
    assert run(folder)[0] == 1
    assert run(folder, "--actions", actions)[0] == 0
    assert run(folder, actions)[0] == 0
    actions.write_text("actions:\n  - {name: stir}\n")
    code, output = run(actions)
    assert code == 1
    assert "kitchen.yaml:2:5: key 'description' is missing" in output


def test_an_action_that_the_library_has_already_is_a_mistake(tmp_path: Path) -> None:
    actions = tmp_path / "more.yaml"
    actions.write_text("actions:\n  - {name: wave, description: Wave.}\n")
    code, output = run(actions)
    assert code == 1
    assert "action 'wave' is declared in" in output


def test_a_folder_without_a_character_and_two_of_one_name_are_mistakes(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    first, second = write(tmp_path / "a", ANN), write(tmp_path / "b", ANN)
    code, output = run(tmp_path / "empty", tmp_path / "none", first, second)
    assert code == 1
    assert "holds no character" in output
    assert "does not exist" in output
    assert "name 'Ann' is taken by" in output
