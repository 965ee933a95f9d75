"""What `npc serve` says before it loads anything; with real models it runs in tests/e2e."""

import socket

import pytest
import typer
from typer.testing import CliRunner

from npc.cli.serve import serve

app = typer.Typer()
app.command()(serve)


def refused(*args):
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_a_taken_port_is_said_before_the_models_are_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused("--port", str(port))
    assert f"cannot listen on 127.0.0.1:{port}: it is taken" in message
    assert "--port" in message or "another port" in message
    assert "loading" not in message


def test_an_address_of_another_machine_is_said():
    assert "is '203.0.113.1' an address of this machine?" in refused("--host", "203.0.113.1", "--port", "0")


@pytest.mark.parametrize(
    ("toml", "hint"),
    [
        ("[server]\nprot = 1", "'server.prot' is not a field; known fields are port"),
        ("[llm]\nbackend = 'vllm'", "'llm.backend' is 'vllm'; use 'embedded' or 'openai'"),
        ("[server", "this is not TOML"),
    ],
)
def test_a_mistake_in_the_settings_file_is_said_with_its_place(tmp_path, toml, hint):
    file = tmp_path / "settings.toml"
    file.write_text(toml)
    message = refused("--config", str(file))
    assert hint in message
    assert "settings.toml" in message.replace(" ", "")


def test_a_settings_file_that_is_missing_is_said(tmp_path):
    assert "there is no such file" in refused("--config", str(tmp_path / "missing.toml"))


def test_an_option_out_of_range_is_said():
    assert "'server.port' is 99999" in refused("--port", "99999")
