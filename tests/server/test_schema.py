import json

import pytest
import typer
from typer.testing import CliRunner

from npc.cli import schema as command
from npc.events import CLIENT_EVENTS, SERVER_EVENTS

app = typer.Typer()
app.command()(command.schema)


def run(*args):
    return CliRunner().invoke(app, args)


def test_the_schema_in_the_repository_is_up_to_date():
    assert run("--check").exit_code == 0, "run: npc schema --write"


def test_a_stale_or_missing_schema_is_found_and_write_mends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "FILE", tmp_path / "schema.json")
    assert run("--check").exit_code == 1
    assert run("--write").exit_code == 0
    assert run("--check").exit_code == 0
    command.FILE.write_text(command.FILE.read_text().replace("integer", "number", 1))
    assert run("--check").exit_code == 1


def test_outside_a_checkout_there_is_nothing_to_write(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "FILE", tmp_path / "missing" / "schema.json")
    result = run("--write")
    assert result.exit_code == 1
    assert "checkout" in result.output


def test_the_schema_holds_every_event_and_every_reference_leads_somewhere():
    text = run().stdout
    schema = json.loads(text)
    for side, events in (("ClientEvent", CLIENT_EVENTS), ("ServerEvent", SERVER_EVENTS)):
        assert len(schema["$defs"][side]["oneOf"]) == len(events)
    references = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert references <= schema["$defs"].keys()


@pytest.mark.parametrize("part", ["header", "payload", "kinds", "flags"])
def test_the_schema_describes_the_binary_frame(part):
    assert json.loads(run().stdout)["x-binary-frame"][part]
