"""`npc eval` and `npc train` from the command line, as far as no model is needed."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from npc.cli import evaluate
from npc.cli.train import app as train
from npc.evaluate.cases import Prediction, read_cases, write_lines

app = typer.Typer()
app.command("run")(evaluate.run)
app.command("compare")(evaluate.score_files)
runner = CliRunner()


FIRST = {evaluate.HeldOut.KNOWN: "well-keeper", evaluate.HeldOut.UNSEEN: "tortoise-pilot"}


def perfect(folder: Path, which: evaluate.HeldOut = evaluate.HeldOut.KNOWN) -> Path:
    """Predictions that are what was expected of one character's cases."""
    cases = read_cases(evaluate.held_out(which) / "cases" / f"{FIRST[which]}.jsonl")
    made = []
    for case in cases:
        assert case.expect is not None
        said = [form if isinstance(form, str) else form[0] for form in case.expect.says]
        reply = "I do not know." if case.expect.abstains else " ".join(said) or "Peace, traveller."
        made.append(Prediction(id=case.id, reply=reply, actions=case.expect.actions or ()))
    write_lines(folder / "perfect.jsonl", made)
    return folder / "perfect.jsonl"


@pytest.mark.parametrize("which", evaluate.HeldOut)
def test_what_is_expected_scores_in_full(tmp_path: Path, which: evaluate.HeldOut) -> None:
    result = runner.invoke(app, ["compare", str(perfect(tmp_path, which)), "--set", which, "--json"])
    assert result.exit_code == 0, result.output
    score = json.loads(result.output)["perfect"]
    assert [score[key]["percent"] for key in ("exact", "grounded", "abstains", "safe", "in_character")] == [100.0] * 5
    assert score["unasked"]["percent"] == score["abstains_wrongly"]["percent"] == 0


def test_models_are_compared_in_one_table(tmp_path: Path) -> None:
    file = perfect(tmp_path)
    (tmp_path / "other.jsonl").write_text(file.read_text())
    result = runner.invoke(app, ["compare", str(file), str(tmp_path / "other.jsonl")])
    assert "perfect" in result.output
    assert "other" in result.output
    assert "kind: reference" in result.output


def test_predictions_for_the_other_set_are_not_scored_as_nothing(tmp_path: Path) -> None:
    result = runner.invoke(app, ["compare", str(perfect(tmp_path)), "--set", "unseen"])
    assert result.exit_code == 1
    assert "answers none of these cases" in result.output


def test_the_failures_of_the_unseen_set_stay_unread() -> None:
    result = runner.invoke(app, ["run", "--set", "unseen", "--failures"])
    assert result.exit_code == 1
    assert "nobody reads its failures" in result.output


def test_a_character_without_stories_says_where_they_are_explained(tmp_path: Path) -> None:
    folder = evaluate.held_out() / "characters" / "well-keeper"
    result = runner.invoke(app, ["run", str(folder)])
    assert result.exit_code == 1
    assert "no tests.yaml here" in result.output


def test_cases_about_nobody_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "1", "character": "nobody", "utterance": "Hi."}\n')
    result = runner.invoke(app, ["run", "--cases", str(tmp_path / "c.jsonl")])
    assert result.exit_code == 1
    assert "there is no character 'nobody'" in result.output


def test_training_data_can_be_looked_at(tmp_path: Path) -> None:
    result = runner.invoke(train, ["data", "--out", str(tmp_path / "x.jsonl"), "--examples", "30"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert sum(told["kinds"].values()) == 30 == len((tmp_path / "x.jsonl").read_text().splitlines())
    assert told["corpus"]["worlds"] >= 40


def test_an_unknown_recipe_names_those_there_are(tmp_path: Path) -> None:
    result = runner.invoke(train, ["run", "npc-900t", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "npc-135m" in result.output
