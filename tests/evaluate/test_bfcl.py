"""BFCL's cases as actions, judged as its own checker judges."""

import json
import zipfile
from pathlib import Path

import pytest

from npc.actions import Act, compile_reply_grammar
from npc.errors import ConfigError
from npc.evaluate.bfcl import Question, is_right, read_questions
from npc.world import Scene

FUNCTION = {
    "name": "Ship.bookBerth",
    "description": "Book a berth.",
    "parameters": {
        "type": "dict",
        "required": ["port", "nights"],
        "properties": {
            "insured": {"type": "boolean", "description": ""},
            "port": {"type": "string", "description": ""},
            "nights": {"type": "integer", "description": ""},
            "decks": {"type": "array", "items": {"type": "integer"}, "description": ""},
        },
    },
}
WANTED = {"Ship.bookBerth": {"port": ["St. Ives"], "nights": [2], "insured": [True, ""], "decks": [[1, 2], ""]}}


@pytest.fixture
def question(tmp_path: Path) -> Question:
    item = {"id": "s_0", "question": [[{"role": "user", "content": "Two nights in St Ives."}]], "function": [FUNCTION]}
    with zipfile.ZipFile(tmp_path / "b.whl", "w") as wheel:
        wheel.writestr("bfcl_eval/data/BFCL_v4_simple_python.json", json.dumps(item))
        answer = {"id": "s_0", "ground_truth": [WANTED]}
        wheel.writestr("bfcl_eval/data/possible_answer/BFCL_v4_simple_python.json", json.dumps(answer))
        wheel.writestr("bfcl_eval/data/BFCL_v4_irrelevance.json", json.dumps(item))
    [read] = read_questions(tmp_path / "b.whl", "simple_python")
    return read


def call(**args: str | int) -> list[Act]:
    return [Act("ship_book_berth", args)]


def test_a_function_becomes_an_action_with_what_is_required_first(question: Question) -> None:
    [action] = question.actions
    assert action.name == "ship_book_berth"
    assert [(p.name, p.kind, p.is_optional) for p in action.parameters] == [
        ("port", "string", False),
        ("nights", "number", False),
        ("insured", "enum", True),
        ("decks", "string", True),
    ]
    assert "ship_book_berth" in compile_reply_grammar(question.actions, Scene()).lark


def test_every_argument_must_be_among_the_possible(question: Question) -> None:
    assert is_right(question, call(port="st ives", nights=2))
    assert is_right(question, call(port="St. Ives", nights=2, insured="true", decks="1, 2"))
    assert not is_right(question, call(port="St. Ives", nights=3))
    assert not is_right(question, call(port="St. Ives", nights=2, insured="false"))
    assert not is_right(question, call(port="St. Ives", nights=2, decks="2, 1"))
    assert not is_right(question, call(nights=2))
    assert not is_right(question, [])
    assert not is_right(question, [*call(port="St. Ives", nights=2), *call(port="St. Ives", nights=2)])


def test_what_is_irrelevant_calls_nothing(question: Question, tmp_path: Path) -> None:
    [irrelevant] = read_questions(tmp_path / "b.whl", "irrelevance")
    assert is_right(irrelevant, [])
    assert not is_right(irrelevant, call(port="St. Ives", nights=2))


def test_a_file_that_is_no_wheel_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_text("no")
    with pytest.raises(ConfigError, match="pip download"):
        read_questions(tmp_path / "x.whl", "multiple")
