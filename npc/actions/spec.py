"""What a character can do: an action, its parameters and what may stand in them.

Declared in Python or YAML (`npc.actions.declare`), a spec is plain data: it
makes the grammar, the lines of the prompt and the check of a call.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from npc.actions.requires import NOTHING, Requires
from npc.errors import ConfigError
from npc.world import Entity, Scene
from npc.world.scene import PLAYER

Kind = Literal["place", "object", "character", "string", "number", "enum"]
KINDS: tuple[Kind, ...] = ("place", "object", "character", "string", "number", "enum")

MAX_STRING = 120
MAX_NUMBER = 999_999
DECIMALS = 2
"""Numbers carry at most this many digits behind the point."""

MAX_TIMEOUT_S = 3600.0

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
"""Action and parameter names."""
VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Bare values: scene ids and the choices of an enum."""


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    kind: Kind
    description: str = ""
    choices: tuple[str, ...] = ()
    """Of an enum."""
    is_optional: bool = False
    minimum: float = -MAX_NUMBER
    maximum: float = MAX_NUMBER
    is_integer: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError where the grammar could not be made of it."""
        if not NAME.fullmatch(self.name):
            raise ConfigError(f"parameter '{self.name}': a name has lowercase letters, digits and _, as in 'place'")
        if self.kind not in KINDS:
            raise ConfigError(f"parameter '{self.name}' has type '{self.kind}'; have {', '.join(KINDS)}")
        if (self.kind == "enum") != bool(self.choices):
            raise ConfigError(f"parameter '{self.name}': choices belong to an enum, and an enum needs them")
        for choice in self.choices:
            if not VALUE.fullmatch(choice):
                raise ConfigError(
                    f"parameter '{self.name}': choice '{choice}' is not one word of letters, digits, _ . -"
                )
        if len(set(self.choices)) < len(self.choices):
            raise ConfigError(f"parameter '{self.name}' has a choice twice: {', '.join(self.choices)}")
        if not -MAX_NUMBER <= self.minimum <= self.maximum <= MAX_NUMBER:
            raise ConfigError(
                f"parameter '{self.name}': {self.minimum} to {self.maximum} is no range within ±{MAX_NUMBER}"
            )

    def targets(self, scene: Scene) -> tuple[str, ...]:
        """The bare values that are legal in `scene`; none for strings and numbers."""
        match self.kind:
            case "enum":
                return self.choices
            case "place" | "object" | "character":
                return tuple(entity.id for entity in self.entities(scene))
            case _:
                return ()

    def entities(self, scene: Scene) -> tuple[Entity, ...]:
        match self.kind:
            case "place":
                return scene.places
            case "object":
                return scene.objects
            case "character":
                if any(entity.id == PLAYER for entity in scene.characters):
                    return scene.characters
                return (*scene.characters, Entity(id=PLAYER))
            case _:
                return ()

    def is_possible(self, scene: Scene) -> bool:
        return self.kind in ("string", "number") or bool(self.targets(scene))


@dataclass(frozen=True, slots=True)
class ActionSpec:
    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    examples: tuple[str, ...] = ()
    """How a player asks for it: "walk to the {place}"."""
    counter_examples: tuple[str, ...] = ()
    """What sounds like it and does not ask for it."""
    source: str = ""
    """Where it was declared, for messages."""
    verbs: tuple[str, ...] = ()
    """How the character says that it will, behind "I'll": "hand over", "pass"; the name itself where there are none.
    A slot stands for what must be named: "go to {place}"."""
    says: tuple[str, ...] = ()
    """What it says only while it does it: "here you are"."""
    is_favour: bool = True
    """Doing it is a yes: "no" beside it contradicts it."""
    requires: Requires = NOTHING
    is_awaited: bool = False
    """The reply waits for the game's result before it goes on."""
    is_parallel: bool = True
    """Begins at its place whatever else is under way; otherwise when the actions before it in the reply have ended."""
    timeout_s: float = 30.0
    """After which a game that has not answered is taken to have failed."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigError(f"action '{self.name}': a name has lowercase letters, digits and _, as in 'walk_to'")
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names):
            raise ConfigError(f"action '{self.name}' has a parameter twice: {', '.join(names)}")
        for example in (*self.examples, *self.counter_examples, *self.verbs):
            for slot in re.findall(r"\{(.*?)\}", example):
                if slot not in names:
                    have = ", ".join(names) or "none"
                    raise ConfigError(f"action '{self.name}': '{example}' names no parameter; have {have}")
        if not 0 < self.timeout_s <= MAX_TIMEOUT_S:
            raise ConfigError(f"action '{self.name}': timeout_s is {self.timeout_s:g}; above 0 to {MAX_TIMEOUT_S:g}")

    @property
    def unconditional(self) -> "ActionSpec":
        """The action as it could be done somewhere, some time: for examples, which tell of no particular moment."""
        return replace(self, requires=NOTHING)

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def is_possible(self, scene: Scene) -> bool:
        """Whether every required parameter has something in `scene` to stand for it.

        What the action requires besides is for `npc.actions.conditions`.
        """
        return all(parameter.is_optional or parameter.is_possible(scene) for parameter in self.parameters)


Args = Mapping[str, str | int | float]
"""The arguments of a call by parameter name, in declared order."""
