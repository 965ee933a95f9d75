"""`npc demo` and `npc talk`, whole: a process, a server in it, a spoken question, an answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from npc.audio.files import read_audio
from npc.profile.material import spoken_questions

NPC = [sys.executable, "-c", "from npc.cli import main; main()"]


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # What is plainly asked for must be done here: whether the model would by itself is for `npc eval` to say.
    environment = os.environ | {"COLUMNS": "120", "NPC_LLM__NOMINATES": "true"}
    return subprocess.run([*NPC, *words], capture_output=True, text=True, cwd=cwd, timeout=280, env=environment)


@pytest.mark.real
def test_the_demo_tells_a_program_everything_in_one_object(tmp_path: Path) -> None:
    shown = run("demo", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert "well" in found["transcript"].lower()
    assert found["reply"]
    assert {"name": "walk_to", "args": {"place": "well"}}.items() <= found["actions"][0].items()
    assert any(passage["file"].endswith(".md") for passage in found["passages"])
    assert found["voice_to_voice_ms"] > 0
    assert {"asr", "tts", "endpoint"} <= {span["name"] for span in found["spans"]}
    audio, rate_hz = read_audio(tmp_path / found["wav"])
    assert len(audio) > rate_hz / 2


@pytest.mark.real
def test_the_demo_shows_a_person_what_is_heard_said_and_done(tmp_path: Path) -> None:
    shown = run("demo", "--out", "answer.wav", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for words in ("heard", "says", "does", "walk_to(place=well)", "voice to voice", "budget", "answer.wav", "npc chat"):
        assert words in shown.stdout
    assert (tmp_path / "answer.wav").is_file()


@pytest.mark.real
def test_a_file_is_spoken_to_a_character_and_the_answer_is_kept(tmp_path: Path) -> None:
    [question] = [each for each in spoken_questions() if each.file.stem == "take-me-there"]
    shown = run("talk", "guide", "--wav", str(question.file), "--out", "answer.wav", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert "kite cliff" in found["transcript"].lower()
    assert (tmp_path / "answer.wav").is_file()


@pytest.mark.real
def test_lines_are_answered_in_a_chat(tmp_path: Path) -> None:
    chat = subprocess.run(
        [*NPC, "chat", "ramen-cook", "--json"],
        input="Good evening.\n\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=280,
    )
    assert chat.returncode == 0, chat.stderr
    events = [json.loads(line) for line in chat.stdout.splitlines()]
    assert [event["type"] for event in events][-1] == "reply-ended"
    assert any(event["type"] == "words" for event in events)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["talk", "smith", "--wav", "missing.wav"], "missing.wav"),
        (["demo", "--out", "nowhere/reply.wav"], "no folder nowhere"),
        (["chat", "smith", "--url", "ws://127.0.0.1:9"], "npc serve"),
        (["demo", "--config", "missing.toml"], "missing.toml: there is no such file"),
        (["chat", "smith", "--scene", "missing.yaml"], "missing.yaml"),
        (["profile", "--character", "nobody"], "no spoken questions for 'nobody'"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_what_and_where(words: list[str], hint: str, tmp_path: Path) -> None:
    shown = run(*words, cwd=tmp_path)
    assert shown.returncode == 1
    assert hint in " ".join((shown.stderr + shown.stdout).split())
    assert "Traceback" not in shown.stderr


def test_a_scene_of_ones_own_is_judged_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "scene.yaml").write_text("places:\n  - {id: well, colour: blue}\n")
    shown = run("chat", "smith", "--scene", "scene.yaml", cwd=tmp_path)
    assert shown.returncode == 1
    assert "scene.yaml" in shown.stderr + shown.stdout
    assert "colour" in shown.stderr + shown.stdout
