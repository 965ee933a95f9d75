"""What has to hold before an action can be done, as writers state it.

    requires: {near: target, holding: axe, is_not: {thing: locked}, regard: ">= 20"}

Words name a parameter of the action, `target` (each of its parameters that is
something of the scene), or something of the scene by its id. All of it has to
hold; `npc.actions.conditions` judges it in a scene.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from npc.errors import ConfigError

TARGET = "target"
GAUGES = ("regard", "mood", "arousal")
"""What `npc.feeling` measures, each from -100 to 100."""

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(r"(>=|<=|>|<)\s*(-?\d{1,3}(?:\.\d+)?)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Comparison:
    gauge: str
    sign: str
    value: float

    def holds(self, gauges: Mapping[str, float]) -> bool:
        """What was never measured is 0: a stranger in a plain mood."""
        return _OPERATORS[self.sign](gauges.get(self.gauge, 0.0), self.value)

    def __str__(self) -> str:
        return f"{self.gauge} {self.sign} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Requires:
    near: tuple[str, ...] = ()
    """Within the character's reach."""
    holding: tuple[str, ...] = ()
    """In the character's hands."""
    player_holding: tuple[str, ...] = ()
    is_: tuple[tuple[str, str], ...] = ()
    """(thing, fact): the game reports the fact as true."""
    is_not: tuple[tuple[str, str], ...] = ()
    gauges: tuple[Comparison, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self == NOTHING

    @property
    def words(self) -> tuple[str, ...]:
        """All that is named."""
        facts = (*self.is_, *self.is_not)
        return (*self.near, *self.holding, *self.player_holding, *(thing for thing, _ in facts))


NOTHING = Requires()


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"'{text}' is no parameter and no id; use one, or '{TARGET}'")
    return text


def _comparison(text: str) -> str:
    if not _COMPARISON.fullmatch(text.strip()):
        raise ValueError(f"'{text}' is no comparison; write one in quotes, as in \">= 20\" (from -100 to 100)")
    return text.strip()


Names = Annotated[list[Annotated[str, AfterValidator(_name)]], BeforeValidator(_one_or_more), Field(max_length=8)]
Compared = Annotated[str, AfterValidator(_comparison)]


class RequiresForm(BaseModel):
    """`requires` in YAML, and in Python as a mapping with the same keys."""

    model_config = ConfigDict(extra="forbid")

    near: Names = []
    holding: Names = []
    player_holding: Names = []
    is_: Annotated[dict[str, Names], Field(alias="is")] = {}
    is_not: dict[str, Names] = {}
    regard: Compared | None = None
    mood: Compared | None = None
    arousal: Compared | None = None

    def value(self) -> Requires:
        written = ((gauge, _COMPARISON.fullmatch(getattr(self, gauge) or "")) for gauge in GAUGES)
        comparisons = [Comparison(gauge, match[1], float(match[2])) for gauge, match in written if match]
        return Requires(
            tuple(self.near),
            tuple(self.holding),
            tuple(self.player_holding),
            tuple((thing, fact) for thing, facts in self.is_.items() for fact in facts),
            tuple((thing, fact) for thing, facts in self.is_not.items() for fact in facts),
            tuple(comparisons),
        )


def read_requires(requires: Mapping[str, object]) -> Requires:
    """Raises ConfigError for unknown keys and values that cannot be."""
    try:
        return RequiresForm.model_validate(dict(requires)).value()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        known = "near, holding, player_holding, is, is_not, regard, mood, arousal"
        what = f"have {known}" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"requires: {where}: {what}") from error
