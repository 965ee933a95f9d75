"""A public yardstick: the Berkeley Function Calling Leaderboard's simple, multiple and irrelevance cases.

Functions become actions and the question the player's words; the reply is
written under the engine's grammar and judged as BFCL's AST checker judges. The
data (Apache-2.0) is read from the wheel `bfcl-eval` as it lies: that package
asks for an old numpy, so it is fetched and never installed:

    pip download --no-deps -d build bfcl-eval

https://github.com/ShishirPatil/gorilla/tree/main/berkeley-function-call-leaderboard
"""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc.actions import Act, ActionSpec, Parameter, ReplyParser, compile_reply_grammar
from npc.actions.grammar import Choice
from npc.actions.spec import MAX_NUMBER, VALUE
from npc.character import Character, build_prompt
from npc.errors import ConfigError
from npc.stages import LanguageModel
from npc.turn import GenerationEnd, Sampling, TextPiece, Voice
from npc.world import Scene

CATEGORIES = ("simple_python", "multiple", "irrelevance")
PUBLISHED = {"simple_python": 61.6, "multiple": 63.5, "irrelevance": 73.7}
"""FunctionGemma 270M, as its model card states."""

Json = Any  # what json.loads gives: BFCL's values are of every type

_FOLDER = "bfcl_eval/data"


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    category: str
    text: str
    actions: tuple[ActionSpec, ...]
    names: Mapping[str, str]
    """BFCL's name of each action."""
    parameters: Mapping[str, Mapping[str, tuple[str, Mapping[str, Json]]]]
    """By action and parameter: BFCL's name and schema."""
    wanted: Mapping[str, Mapping[str, Sequence[Json]]]
    """The function's name and what each argument may be; empty where nothing fits the question."""


def read_questions(wheel: Path, category: str) -> list[Question]:
    """Raises ConfigError where the wheel does not hold them."""
    file = f"BFCL_v4_{category}.json"
    try:
        with zipfile.ZipFile(wheel) as archive:
            asked = _lines(archive, f"{_FOLDER}/{file}")
            answers = {} if category == "irrelevance" else _by_id(archive, f"{_FOLDER}/possible_answer/{file}")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        hint = "`pip download --no-deps bfcl-eval` fetches the wheel"
        raise ConfigError(f"{wheel}: holds no {file}: {error}; {hint}") from error
    return [_question(category, item, answers.get(item["id"])) for item in asked]


async def answer(question: Question, llm: LanguageModel, choice: Choice = "auto") -> list[Act]:
    """The calls of one greedy reply. Raises StageError when the model fails."""
    clerk = Character(
        id="clerk",
        folder=Path(),
        name="Ada",
        role="clerk of a service desk",
        persona="You do what people ask for with what you can do, and say so when you cannot.",
        voice=Voice("heart"),
        actions=question.actions,
    )
    scene = Scene()
    grammar = compile_reply_grammar(question.actions, scene, choice)
    sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=160)
    parser = ReplyParser(question.actions, scene)
    calls: list[Act] = []
    async with aclosing(llm.generate(build_prompt(clerk, scene, (), (), question.text), sampling, grammar)) as pieces:
        async for piece in pieces:
            match piece:
                case TextPiece(text):
                    parts = parser.push(text)
                case GenerationEnd():
                    parts = parser.flush()
            calls += [part for part in parts if isinstance(part, Act)]
    return calls


def is_right(question: Question, calls: Sequence[Act]) -> bool:
    """As BFCL judges: one call of the right function, every argument among those that are possible."""
    if not question.wanted:
        return not calls
    if len(calls) != 1:
        return False
    [(name, possible)] = question.wanted.items()
    call = calls[0]
    if question.names[call.name] != name:
        return False
    given: dict[str, Json] = {}
    for key, value in call.args.items():
        original, schema = question.parameters[call.name][key]
        given[original] = _typed(value, schema)
    if any(key not in possible for key in given):
        return False
    return all(
        any(_equal(given[key], option) for option in options) if key in given else "" in options
        for key, options in possible.items()
    )


def _question(category: str, item: Json, wanted: Json) -> Question:
    actions: list[ActionSpec] = []
    names: dict[str, str] = {}
    parameters: dict[str, dict[str, tuple[str, Mapping[str, Json]]]] = {}
    for function in item["function"]:
        name = _name(function["name"], names)
        names[name] = function["name"]
        required = set(function["parameters"].get("required", ()))
        own: dict[str, tuple[str, Mapping[str, Json]]] = {}
        for key, schema in function["parameters"]["properties"].items():
            own[_name(key, own)] = (key, schema)
        parameters[name] = own
        described = " ".join(str(function["description"]).split())
        # Required first: optional arguments follow in a call.
        order = sorted(own.items(), key=lambda pair: pair[1][0] not in required)
        made = tuple(_parameter(key, schema, original not in required) for key, (original, schema) in order)
        actions.append(ActionSpec(name, described, made))
    text = " ".join(message["content"] for turn in item["question"] for message in turn if message["role"] == "user")
    return Question(item["id"], category, text, tuple(actions), names, parameters, (wanted or [{}])[0])


def _parameter(name: str, schema: Mapping[str, Json], is_optional: bool) -> Parameter:
    choices = tuple(str(choice) for choice in schema.get("enum", ()))
    match schema["type"]:
        case "boolean":
            return Parameter(name, "enum", choices=("true", "false"), is_optional=is_optional)
        case "integer":
            return Parameter(name, "number", is_optional=is_optional, is_integer=True)
        case "float":
            return Parameter(name, "number", is_optional=is_optional, minimum=-MAX_NUMBER)
        case _ if choices and all(VALUE.fullmatch(choice) for choice in choices):
            return Parameter(name, "enum", choices=tuple(dict.fromkeys(choices)), is_optional=is_optional)
        case _:  # text, and lists as text parted by commas
            return Parameter(name, "string", is_optional=is_optional)


def _name(original: str, taken: Mapping[str, object]) -> str:
    """`Math.gcdOf` → `math_gcd_of`, as our actions are named."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", original)
    name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")[:44] or "x"
    name = name if name[0].isalpha() else f"x_{name}"
    return name if name not in taken else f"{name}_{len(taken)}"


def _typed(value: Json, schema: Mapping[str, Json]) -> Json:
    match schema["type"]:
        case "boolean":
            return value == "true"
        case "array" | "tuple":
            inner = schema.get("items") or {"type": "string"}
            return [_typed(_number_or_text(part.strip()), inner) for part in str(value).split(",")]
        case "integer" | "float":
            return _number_or_text(str(value))
        case _:
            return value


def _number_or_text(text: str) -> Json:
    try:
        return float(text)
    except ValueError:
        return text


def _equal(given: Json, wanted: Json) -> bool:
    if isinstance(wanted, bool) or isinstance(given, bool):
        return given is wanted
    if isinstance(wanted, int | float) and isinstance(given, int | float):
        return float(given) == float(wanted)
    if isinstance(wanted, list) and isinstance(given, list):
        return len(given) == len(wanted) and all(map(_equal, given, wanted))
    return isinstance(wanted, str) and _plain(str(given)) == _plain(wanted)


def _plain(text: str) -> str:
    """BFCL's own leniency: case, blanks and some punctuation do not count."""
    return re.sub(r"[ ,./\-_*^]", "", text).lower().replace("'", '"')


def _lines(archive: zipfile.ZipFile, name: str) -> list[Json]:
    return [json.loads(line) for line in archive.read(name).decode("utf-8").splitlines() if line.strip()]


def _by_id(archive: zipfile.ZipFile, name: str) -> dict[str, Json]:
    return {item["id"]: item["ground_truth"] for item in _lines(archive, name)}
