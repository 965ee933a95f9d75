"""`npc models` on a command line: tables, JSON, exit codes."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from npc.cli.models import models_app
from npc.models import catalog

Npc = Callable[..., Result]


@pytest.fixture
def npc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Npc:
    """Runs `npc models` with an empty cache, and an index that nobody serves."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("NPC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(models_app, list(words))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a silero-vad in it that is not the pinned one."""
    folder = tmp_path / "mine" / "silero-vad"
    folder.mkdir(parents=True)
    (folder / "silero_vad.onnx").write_bytes(b"other weights")
    return folder.parent


def test_list_shows_what_is_needed_and_what_is_ready(npc: Npc, mine: Path) -> None:
    shown = npc("list", "--models", str(mine))
    assert shown.exit_code == 0
    for model in catalog().values():
        line = next(line for line in shown.stdout.splitlines() if model.name in line)
        assert model.licence in line
        state = "folder" if model.name == "silero-vad" else "needed" if model.default else "no"
        assert f" {state} " in line
    assert "npc models pull" in shown.stdout


def test_list_as_json(npc: Npc, mine: Path) -> None:
    rows = {row["name"]: row for row in json.loads(npc("list", "--models", str(mine), "--json").stdout)}
    assert rows.keys() == catalog().keys()
    assert rows["silero-vad"]["path"] == str(mine / "silero-vad")
    assert rows["whisper-base"] == {
        "name": "whisper-base",
        "kind": "recognition",
        "licence": "MIT",
        "description": catalog()["whisper-base"].description,
        "default": False,
        "n_bytes": catalog()["whisper-base"].n_bytes,
        "source": None,
        "path": None,
    }


def test_pull_leaves_a_named_folder_as_it_is(npc: Npc, mine: Path) -> None:
    done = npc("pull", "silero-vad", "--models", str(mine), "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == [{"model": "silero-vad", "path": str(mine / "silero-vad"), "error": None}]


def test_pull_tries_the_default_set_and_says_what_failed(npc: Npc, mine: Path) -> None:
    done = npc("pull", "--models", str(mine), "--json")
    assert done.exit_code == 1
    results = {row["model"]: row["error"] for row in json.loads(done.stdout)}
    assert results.keys() == {model.name for model in catalog().values() if model.default}
    assert results["silero-vad"] is None
    assert "index was not reached" in results["whisper-tiny.en"]

    told = npc("pull", "wisper")
    assert told.exit_code == 1
    assert "ModelError: model 'wisper' is unknown" in told.stderr


def test_verify_reports_weights_that_are_not_the_pinned_ones(npc: Npc, mine: Path) -> None:
    checked = npc("verify", "--models", str(mine), "--json")
    assert checked.exit_code == 1
    (result,) = json.loads(checked.stdout)
    assert result["model"] == "silero-vad"
    assert "silero_vad.onnx has 13 bytes instead of 2327524" in result["error"]


def test_verify_with_nothing_here(npc: Npc) -> None:
    nothing = npc("verify")
    assert nothing.exit_code == 0
    assert "npc models pull" in nothing.stdout
    assert json.loads(npc("verify", "--json").stdout) == []


def test_a_models_folder_that_is_not_there(npc: Npc, tmp_path: Path) -> None:
    told = npc("list", "--models", str(tmp_path / "nowhere"))
    assert told.exit_code == 1
    assert "nowhere does not exist; --models wants a folder" in told.stderr
