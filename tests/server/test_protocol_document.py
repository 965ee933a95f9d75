"""docs/protocol.md says what the code does: every event, field, default, example, error, limit and byte."""

import ast
import json
import re
import struct
from pathlib import Path

import pytest

from npc.config import Server
from npc.events import CLIENT_EVENTS, SERVER_EVENTS, client_event, server_event
from npc.frames import HEADER, MICROPHONE, AudioFrame
from npc.server.codes import CODES

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
CLIENT_PART, SERVER_PART = re.search(
    r"\n## Events from the client\n(.*?)\n## Events from the server\n(.*?)\n## Audio\n", DOCUMENT, re.DOTALL
).groups()
EVENTS = [
    pytest.param(event, part, adapter, id=event.model_fields["type"].default)
    for events, part, adapter in (
        (CLIENT_EVENTS, CLIENT_PART, client_event),
        (SERVER_EVENTS, SERVER_PART, server_event),
    )
    for event in events
]


def table(text: str) -> list[list[str]]:
    """The cells of the first table's rows, without its head."""
    rows = re.search(r"((?:^\|.*\|$\n?)+)", text, re.MULTILINE)
    if rows is None:
        return []
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[0].strip().splitlines()[2:]]


def section(title: str, text: str = DOCUMENT, level: str = "##") -> str:
    return re.search(rf"\n{level} {re.escape(title)}\n(.*?)(?=\n#{{2,{len(level)}}} |\Z)", text, re.DOTALL)[1]


@pytest.mark.parametrize(("event", "part", "adapter"), EVENTS)
def test_every_event_has_a_section_with_its_fields_and_defaults(event, part, adapter):
    text = section(f"`{event.model_fields['type'].default}`", part, "###")
    documented = {name.strip("`"): default.strip("`") for name, _, default, _ in table(text)}
    expected = {
        name: "" if field.is_required() else json.dumps(field.get_default(), default=lambda model: model.model_dump())
        for name, field in event.model_fields.items()
        if name != "type"
    }
    assert documented == expected


@pytest.mark.parametrize(("event", "part", "adapter"), EVENTS)
def test_every_event_has_an_example_that_is_one(event, part, adapter):
    examples = re.findall(
        r"```json\n(.*?)```", section(f"`{event.model_fields['type'].default}`", part, "###"), re.DOTALL
    )
    assert examples
    for example in examples:
        assert isinstance(adapter.validate_json(example), event)


def test_no_section_is_about_an_event_that_does_not_exist():
    for part, events in ((CLIENT_PART, CLIENT_EVENTS), (SERVER_PART, SERVER_EVENTS)):
        titles = re.findall(r"^### `(.*)`$", part, re.MULTILINE)
        assert sorted(titles) == sorted(event.model_fields["type"].default for event in events)


def test_the_table_of_errors_is_that_of_the_code():
    errors = DOCUMENT.rpartition("\n## Errors\n")[2]
    documented = {code.strip("`"): (closes_with, meaning) for code, closes_with, meaning in table(errors)}
    assert documented == {
        name: (str(int(code.closes_with)) if code.closes_with else "", code.meaning) for name, code in CODES.items()
    }


def test_every_code_that_the_server_or_a_session_gives_is_in_the_table():
    files = [*(ROOT / "server").glob("*.py"), *(ROOT / "npc").glob("*.py"), ROOT / "npc/actions/transaction.py"]
    given = {code for file in files for code in codes_in(ast.parse(file.read_text(encoding="utf-8")))}
    assert {"bad-json", "unknown-action", "internal", "slow-client"} <= given, "the search finds what it should"
    assert given - CODES.keys() == set()


def codes_in(tree: ast.AST) -> set[str]:
    """Literal codes: of `InputError(…, code)`, `Refusal(code, …)`, `ErrorEvent(code=…)` and `code = …` of a class."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("InputError"), args=[_, ast.Constant(str(code))]):
                found.add(code)
            case ast.Call(func=ast.Name("Refusal"), args=[ast.Constant(str(code)), *_]):
                found.add(code)
            case ast.keyword("code", ast.Constant(str(code))):
                found.add(code)
            case ast.Assign([ast.Name("code")], ast.Constant(str(code))):
                found.add(code)
            case _:
                pass
    return found


def test_the_table_of_limits_is_that_of_the_settings():
    documented = {name.strip("`"): default for name, default, _ in table(section("Limits"))}
    assert documented == {name: str(field.default) for name, field in Server.model_fields.items()}


def test_the_table_of_the_binary_header_is_that_of_the_code():
    offset, expected = 0, []
    for name, code, meaning in HEADER:
        expected.append([str(offset), str(struct.calcsize(code)), f"`{name}`", meaning])
        offset += struct.calcsize(code)
    rows = table(section("Audio"))
    assert rows[:-1] == expected
    assert rows[-1][0] == str(offset)


def test_the_example_of_a_binary_frame_reads_as_it_says():
    example = bytes.fromhex(re.search(r"```hex\n(.*?)```", DOCUMENT, re.DOTALL)[1])
    assert AudioFrame.unpack(example) == AudioFrame(MICROPHONE, 0, 32, b"\xff\x00\x00\xff")


def test_every_link_within_the_document_leads_somewhere():
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", DOCUMENT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", DOCUMENT)) <= anchors
