"""How actions are written down: a pydantic model a call, or a list in YAML.

    class Give(Action):
        \"\"\"Hand a thing over to somebody.\"\"\"

        examples = ("give me the {item}", "hand the {item} to {to}")

        item: Thing
        to: Someone

The class name becomes the action's name (`give`), the docstring its
description, a field with a default an optional parameter. Both forms give the
same `ActionSpec`.
"""

import enum
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from npc.actions.expression import RESERVED
from npc.actions.requires import RequiresForm, read_requires
from npc.actions.spec import KINDS, MAX_NUMBER, MAX_TIMEOUT_S, ActionSpec, Kind, Parameter
from npc.errors import ConfigError, Mistake
from npc.sheet import Sheet, did_you_mean


@dataclass(frozen=True, slots=True)
class Target:
    """Marks a text field as the id of something in the scene."""

    kind: Literal["place", "object", "character"]


Place = Annotated[str, Target("place")]
Thing = Annotated[str, Target("object")]
Someone = Annotated[str, Target("character")]
"""A character of the scene, or the player."""


class Action(BaseModel):
    """A call that characters may make. Subclass it; the docstring is what the model reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: ClassVar[tuple[str, ...]] = ()
    """How a player asks for it; `{parameter}` stands for a target."""
    counter_examples: ClassVar[tuple[str, ...]] = ()
    """What sounds like it and is no request."""
    requires: ClassVar[Mapping[str, object]] = {}
    """What has to hold, with the keys of the YAML form: `{"near": "thing", "regard": ">= 20"}`."""
    verbs: ClassVar[tuple[str, ...]] = ()
    """How the character says that it will: behind "I'll"."""
    says: ClassVar[tuple[str, ...]] = ()
    """What the character says only while it does it."""
    favour: ClassVar[bool] = True
    """Doing it is a yes."""
    awaited: ClassVar[bool] = False
    parallel: ClassVar[bool] = True
    timeout_s: ClassVar[float] = 30.0


def spec_of(action: type[Action]) -> ActionSpec:
    """Raises ConfigError where a field cannot be a parameter."""
    source = f"{action.__module__}.{action.__qualname__}"
    description = " ".join((action.__doc__ or "").split())
    if not description or action.__doc__ == Action.__doc__:
        raise ConfigError(f"{source}: has no docstring; it is the description that the language model reads")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", action.__name__).lower()
    if name in RESERVED:
        raise ConfigError(f"{source}: '{name}' is how characters show what they feel; use another name")
    try:
        return ActionSpec(
            name=name,
            description=description,
            parameters=tuple(_parameter(name, field) for name, field in action.model_fields.items()),
            examples=tuple(action.examples),
            counter_examples=tuple(action.counter_examples),
            source=source,
            requires=read_requires(action.requires),
            verbs=tuple(action.verbs),
            says=tuple(action.says),
            is_favour=action.favour,
            is_awaited=action.awaited,
            is_parallel=action.parallel,
            timeout_s=action.timeout_s,
        )
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def _parameter(name: str, field: FieldInfo) -> Parameter:
    annotation, marks = _bare(field.annotation)
    marks += field.metadata
    kind: Kind
    choices: tuple[str, ...] = ()
    target = next((mark.kind for mark in marks if isinstance(mark, Target)), None)
    if target is not None:
        kind = target
    elif get_origin(annotation) is Literal:
        kind, choices = "enum", tuple(str(choice) for choice in get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        kind, choices = "enum", tuple(str(choice.value) for choice in annotation)
    elif annotation is str:
        kind = "string"
    elif annotation in (int, float):
        kind = "number"
    else:
        known = "Place, Thing, Someone, str, int, float, Literal[…] or an Enum"
        raise ConfigError(f"parameter '{name}' is of type {annotation!r}; use {known}")
    minimum, maximum = _bounds(name, marks)
    return Parameter(
        name=name,
        kind=kind,
        description=field.description or "",
        choices=choices,
        is_optional=not field.is_required(),
        minimum=minimum,
        maximum=maximum,
        is_integer=annotation is int,
    )


def _bare(annotation: Any) -> tuple[Any, list[Any]]:  # types have no type of their own that covers Annotated and unions
    """`Annotated[str, Target("place")] | None` → str and its marks."""
    if get_origin(annotation) is Annotated:
        inner, marks = _bare(annotation.__origin__)
        return inner, [*marks, *annotation.__metadata__]
    if get_origin(annotation) in (Union, types.UnionType):
        present = [part for part in get_args(annotation) if part is not types.NoneType]
        if len(present) == 1:
            return _bare(present[0])
    return annotation, []


def _bounds(name: str, marks: list[Any]) -> tuple[float, float]:  # pydantic's metadata is Any
    minimum: float = -MAX_NUMBER
    maximum: float = MAX_NUMBER
    for mark in marks:
        match mark:
            case annotated_types.Ge(ge=bound):
                minimum = float(str(bound))
            case annotated_types.Le(le=bound):
                maximum = float(str(bound))
            case annotated_types.Gt() | annotated_types.Lt() | annotated_types.MultipleOf():
                raise ConfigError(f"parameter '{name}': bounds are stated with ge and le")
            case _:
                pass
    return minimum, maximum


# YAML


def _expand_type(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


def _known_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"'{kind}' is not known{did_you_mean(kind, KINDS)}")
    return kind


class ParameterForm(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: Annotated[str, AfterValidator(_known_kind)] = Field(description=f"one of {', '.join(KINDS)}")
    description: str = ""
    choices: list[str] = []
    optional: bool = False
    minimum: float = -MAX_NUMBER
    maximum: float = MAX_NUMBER
    whole: bool = False
    """A number without decimals."""


class ActionForm(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(description="a verb in lowercase, as in walk_to")
    description: Annotated[str, Field(min_length=1)] = Field(description="one sentence for the language model")
    parameters: dict[str, Annotated[ParameterForm, BeforeValidator(_expand_type)]] = {}
    examples: list[str] = []
    counter_examples: list[str] = []
    requires: RequiresForm = RequiresForm()
    verbs: list[str] = []
    says: list[str] = []
    favour: bool = True
    awaited: bool = False
    parallel: bool = True
    timeout_s: Annotated[float, Field(strict=False, gt=0, le=MAX_TIMEOUT_S)] = 30.0


class ActionsForm(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    actions: list[ActionForm] = Field(description="a list of actions, each with name and description")


def read_actions(file: Path) -> tuple[list[ActionSpec], list[Mistake]]:
    """The actions of a YAML file, and everything that is wrong with it."""
    sheet = Sheet.read(file)
    form = sheet.validate(ActionsForm)
    specs = list(_specs(sheet, form)) if form else []
    return specs, sheet.mistakes


def _specs(sheet: Sheet, form: ActionsForm) -> Iterator[ActionSpec]:
    seen: set[str] = set()
    for n, action in enumerate(form.actions):
        path = ("actions", n)
        if action.name in seen:
            sheet.blame((*path, "name"), f"action '{action.name}' is declared twice in this file")
            continue
        if action.name in RESERVED:
            message = f"'{action.name}' is how characters show what they feel; use another name"
            sheet.blame((*path, "name"), message)
            continue
        seen.add(action.name)
        parameters: list[Parameter] = []
        for name, parameter in action.parameters.items():
            try:
                parameters.append(_from_form(name, parameter))
            except ConfigError as error:
                sheet.blame((*path, "parameters", name), str(error), is_key=True)
        if len(parameters) < len(action.parameters):
            continue
        try:
            yield ActionSpec(
                name=action.name,
                description=" ".join(action.description.split()),
                parameters=tuple(parameters),
                examples=tuple(action.examples),
                counter_examples=tuple(action.counter_examples),
                source=str(sheet.file),
                requires=action.requires.value(),
                verbs=tuple(action.verbs),
                says=tuple(action.says),
                is_favour=action.favour,
                is_awaited=action.awaited,
                is_parallel=action.parallel,
                timeout_s=action.timeout_s,
            )
        except ConfigError as error:
            sheet.blame((*path, "name"), str(error))


def _from_form(name: str, form: ParameterForm) -> Parameter:
    return Parameter(
        name=name,
        kind=next(kind for kind in KINDS if kind == form.type),
        description=" ".join(form.description.split()),
        choices=tuple(form.choices),
        is_optional=form.optional,
        minimum=form.minimum,
        maximum=form.maximum,
        is_integer=form.whole,
    )
