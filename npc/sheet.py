"""A YAML file that a person writes, read so that every mistake in it can be pointed at.

`Sheet.read` gives the data with the place of every key and value;
`Sheet.validate` holds it against a pydantic model and turns what that finds
into sentences for people who write characters, not Python. Both collect
mistakes instead of raising, so that a writer sees all of them at once.
"""

import difflib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from npc.errors import Mistake

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
"""A file that unfolds to more, by references to references, is not one that a person wrote."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'persona'?`, or what there is, nearest first."""
    names = sorted(known, key=lambda name: -difflib.SequenceMatcher(None, word.lower(), name.lower()).ratio())
    close = difflib.get_close_matches(word.lower(), [name.lower() for name in names], 1, 0.55)
    if close:
        return f"; did you mean '{next(name for name in names if name.lower() == close[0])}'?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; have {shown}" if names else "; there are none"


def not_utf8(data: bytes, error: UnicodeDecodeError) -> tuple[str, int, int]:
    """What is wrong, and the line and column (in bytes) of it."""
    line, column = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
    return f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8", line, column


class Sheet:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []
        self.data: Any = None  # what a YAML file may hold: str, int, float, bool, None, list and dict of these
        self._keys: dict[KeyPath, tuple[int, int]] = {}
        self._values: dict[KeyPath, tuple[int, int]] = {}
        self._n_nodes = 0
        self._yaml = YAML(typ="safe", pure=True)

    @classmethod
    def read(cls, file: Path) -> "Sheet":
        sheet = cls(file)
        text = sheet._text()
        if text is not None:
            sheet._parse(text)
        return sheet

    def blame(self, path: KeyPath, message: str, *, is_key: bool = False) -> None:
        """Report a mistake at the value (or key) under `path`, or at what is nearest above it."""
        place = self._keys.get(path) if is_key else None
        for n in range(len(path), -1, -1):
            place = place or self._values.get(path[:n])
        line, column = place or (1, 1)
        self.mistakes.append(Mistake(str(self.file), line, column, message))

    def has(self, path: KeyPath) -> bool:
        return path in self._values

    def line(self, path: KeyPath) -> int:
        """On which the value under `path` begins."""
        return self._values.get(path, (1, 1))[0]

    def validate(self, model: type[Model]) -> Model | None:
        """The data as `model`, or None and what is wrong with it."""
        if self.data is None:
            return None
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            for details in error.errors():
                self._blame_details(model, details)
            return None

    def _text(self) -> str | None:
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            self._refuse("the file is missing")
        except OSError as error:
            self._refuse(f"cannot be read: {error.strerror}")
        else:
            if len(data) > MAX_BYTES:
                self._refuse(f"has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
                return None
            try:
                return data.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                self._refuse(*not_utf8(data, error))
        return None

    def _refuse(self, message: str, line: int = 1, column: int = 1) -> None:
        self.mistakes.append(Mistake(str(self.file), line, column, message))

    def _parse(self, text: str) -> None:
        try:
            node = self._yaml.compose(text)
            if node is None:
                self._refuse("the file is empty")
            else:
                self.data = self._unfold(node, (), ())
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            before = text.split("\n")[line - 1][:column]
            problem = str(error.problem or "cannot be read")
            if "\\t" in problem or "\t" in before:
                problem = "a tab; indent with spaces"
            self._refuse(f"this is not YAML: {problem}", line, column)
        except (YAMLError, ValueError) as error:  # ValueError: characters that YAML does not allow
            self._refuse(f"this is not YAML: {str(error).splitlines()[0]}")
        except RecursionError:
            self._refuse("lists and mappings are nested too deeply")

    def _unfold(self, node: Node, path: KeyPath, above: tuple[int, ...]) -> Any:
        """Plain data of a YAML node; `above` are the nodes around it, to notice one that holds itself."""
        self._n_nodes += 1
        if id(node) in above or self._n_nodes > MAX_NODES:
            raise YAMLError("references (&, *) unfold without end")
        above = (*above, id(node))
        self._values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        match node:
            case ScalarNode():
                # ruamel's constructor is untyped; it gives a scalar for a scalar.
                return self._yaml.constructor.construct_object(node)
            case SequenceNode():
                return [self._unfold(item, (*path, n), above) for n, item in enumerate(node.value)]
            case MappingNode():
                return self._unfold_mapping(node, path, above)
            case _:
                raise YAMLError(f"cannot use {node.tag}")

    def _unfold_mapping(self, node: MappingNode, path: KeyPath, above: tuple[int, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._unfold(key_node, (*path, "?"), above)
            inner = (*path, str(key))
            place = self._values.pop((*path, "?"))
            if not isinstance(key, str):
                self.mistakes.append(Mistake(str(self.file), *place, f"key {key!r} is not text; put it in quotes"))
            elif key in data:
                line = self._keys[inner][0]
                self.mistakes.append(Mistake(str(self.file), *place, f"key '{key}' stands twice; first on line {line}"))
                continue
            self._keys[inner] = place
            data[str(key)] = self._unfold(value_node, inner, above)
            if value_node.start_mark.index == value_node.end_mark.index:  # nothing stands there: point at the key
                self._values[inner] = place
        return data

    def _blame_details(self, model: type[BaseModel], details: ErrorDetails) -> None:
        path = tuple(details["loc"])
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        found = _describe(details["input"])
        context = details.get("ctx", {})
        match details["type"]:
            case "extra_forbidden":
                self.blame(path, f"unknown key '{name}'{did_you_mean(name, _keys_at(model, path[:-1]))}", is_key=True)
                return
            case "missing":
                meaning = _description_at(model, path)
                message = f"key '{name}' is missing" + (f": {meaning}" if meaning else "")
            case "string_type":
                message = f"{name}: text is wanted, not {found}"
            case "float_parsing" | "float_type":
                message = f"{name}: a number is wanted, not {found}"
            case "int_parsing" | "int_type" | "int_from_float":
                message = f"{name}: a whole number is wanted, not {found}"
            case "bool_parsing" | "bool_type":
                message = f"{name}: true or false is wanted, not {found}"
            case "list_type" | "tuple_type":
                message = f"{name}: a list is wanted, one item a line behind '- ', not {found}"
            case "model_type" | "dict_type" | "model_attributes_type":
                message = f"{name + ': ' if name else ''}keys with values are wanted, not {found}"
            case "greater_than_equal" | "less_than_equal" | "greater_than" | "less_than":
                limit = next(iter(context.values()))
                rule = {"g": "above", "l": "below"}[details["type"][0]]
                rule = {"above": "at least", "below": "at most"}[rule] if "equal" in details["type"] else rule
                message = f"{name}: {found} is out of range; {rule} {limit:g} is wanted"
            case "string_too_long":
                has, most = len(details["input"]), context["max_length"]
                message = f"{name}: has {has:,} characters; at most {most:,} fit"
            case "string_too_short":
                message = f"{name}: is empty"
            case "too_long":
                message = f"{name}: has {context['actual_length']} items; at most {context['max_length']} fit"
            case "literal_error" | "enum":
                message = f"{name}: {found} is not known; have {context['expected']}"
            case "string_pattern_mismatch" if name == "id":
                message = f"id: {found} is not legal; use letters, digits and _ . - (64 at most)"
            case "value_error":
                message = f"{name + ': ' if name else ''}{context['error']}"
            case _:
                message = f"{name + ': ' if name else ''}{details['msg']}"
        self.blame(path, message)


def _describe(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value:g}" if isinstance(value, float) else f"the number {value}"
        case str():
            return f"'{value}'" if len(value) <= 60 else f"'{value[:59]}…'"
        case Mapping():
            return "keys with values"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def _models(annotation: object) -> list[type[BaseModel]]:
    """The models that stand in a field's type: `tuple[Entity, ...]` → [Entity]."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for inner in typing.get_args(annotation) for model in _models(inner)]


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            inner = _models(model.model_fields[part].annotation)
            if not inner:
                return None
            model = inner[0]
    return model


def _keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    found = _model_at(model, path)
    return [field.alias or name for name, field in found.model_fields.items()] if found else []


def _description_at(model: type[BaseModel], path: KeyPath) -> str:
    found = _model_at(model, path[:-1])
    field = found.model_fields.get(str(path[-1])) if found else None
    return (field.description or "") if field else ""
