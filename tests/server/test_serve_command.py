"""`npc serve` with a scripted engine: what it says, and how it ends."""

import asyncio
import json
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from npc.cli.serve import serve
from npc.client import ConnectionLost, connect

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


@asynccontextmanager
async def serving(*args):
    """The command in a process of its own, once it is ready: the process, and the line that it printed for programs."""
    script = Path(__file__).parents[1] / "scripted_engine.py"
    command = (sys.executable, script, "--port", "0", "--json", *args)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process, json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    finally:
        if process.returncode is None:
            process.kill()


async def test_it_says_where_it_listens_who_is_there_and_logs_ids_only():
    async with serving() as (process, ready):
        async with connect(ready["url"], character="mira") as npc:
            await npc.say("Rumpelstiltskin")
            assert (await npc.reply()).ending == "done"
        process.send_signal(signal.SIGINT)
        _, shown = await asyncio.wait_for(process.communicate(), 10)
    assert ready["characters"] == ["mira", "kenji", "ada"]
    assert f"s: {ready['url']}" in shown.decode()
    assert "kenji  Kenji, character of a script" in shown.decode()
    assert "session s1" in shown.decode()
    assert "Rumpelstiltskin" not in shown.decode()


async def test_verbose_logs_what_is_said_and_never_the_token():
    async with serving("--verbose", "--token", "swordfish") as (process, ready):
        async with connect(ready["url"], character="mira", token="swordfish") as npc:
            await npc.say("Rumpelstiltskin")
            assert (await npc.reply()).ending == "done"
        process.send_signal(signal.SIGINT)
        _, shown = await asyncio.wait_for(process.communicate(), 10)
    assert "You said: Rumpelstiltskin" in shown.decode()
    assert "swordfish" not in shown.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly_whatever_the_clients_do(number):
    async with serving() as (process, ready):
        url = ready["url"]
        _, half_open = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        async with connect(url, character="mira") as talking, connect(url, character="mira") as deaf:
            await talking.say("long")
            await deaf.say("long")
            await anext(talking)
            process.send_signal(number)
            with pytest.raises(ConnectionLost, match="shutting down"):
                async for _ in talking:
                    pass
            printed, shown = await asyncio.wait_for(process.communicate(), 10)
        half_open.close()
    assert process.returncode == 0
    assert b"the engine is closed" in printed
    assert b"Traceback" not in shown
