"""Places, objects and characters that exist around a character right now.

A scene comes from the game (a `scene` event, then `scene-delta` events) or,
until one arrives, from the character's YAML. Actions may only target what is
in it. Values are frozen and hashable; `npc.world.delta` makes the next one.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

MAX_ENTITIES = 500
MAX_STATE = 8

PLAYER = "player"
"""The id of the player, who is always there."""
NPC = "npc"
"""The id of the character itself, where a thing says who holds it or somebody whom they look at."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has control characters; use printable text on one line")
    return text


def _pairs(value: object) -> object:
    """A mapping as sorted pairs, which can be hashed and compared."""
    return sorted(value.items()) if isinstance(value, Mapping) else value


Line = Annotated[str, Field(max_length=400), AfterValidator(_printable)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Metres = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Coordinate = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Position = tuple[Coordinate, Coordinate, Coordinate]
"""Metres, on the game's own axes."""

Fact = bool | int | Coordinate | Annotated[str, Field(max_length=64), AfterValidator(_printable)]
State = Annotated[
    tuple[tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")], Fact], ...],
    Field(max_length=MAX_STATE),
    BeforeValidator(_pairs),
    PlainSerializer(dict, return_type=dict[str, Fact]),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_STATE,
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,31}$"},
            "additionalProperties": {"type": ["boolean", "number", "string"]},
        }
    ),
]
"""What else the game has to say of a thing, by name: `{"locked": true}`."""


class Being(BaseModel):
    """Where the player, or the character itself, is and what it attends to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    position: Position | None = None
    distance: Metres | None = None
    """Of the player from the character, where there are no positions."""
    at: Id | None = None
    """The place."""
    looking_at: Id | None = None
    pointing_at: Id | None = None
    state: State = ()


class Entity(BaseModel):
    """One place, object or character. What the game does not report is not known, and not told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id
    """What the game knows it by; actions name it by this id."""
    name: Line = ""
    """What people call it; the id with spaces where this is empty."""
    description: Line = ""
    position: Position | None = None
    distance: Metres | None = None
    """From the character; computed where both have positions and this is absent."""
    near: bool | None = None
    """Within reach of the character, as the game judges; by distance and place where absent."""
    at: Id | None = None
    """The place where it is."""
    inside: Id | None = None
    """The object that holds it."""
    held_by: Id | None = None
    """A character's id, `player` or `npc`."""
    looking_at: Id | None = None
    state: State = ()
    visible: bool = True
    """Whether the character could see it from where it is: the line of sight."""

    @property
    def spoken_name(self) -> str:
        return self.name or self.id.replace("_", " ").replace("-", " ")

    @property
    def parent(self) -> str | None:
        """Who holds it, what it is in, or where it is."""
        return self.held_by or self.inside or self.at


class Scene(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    description: Line = ""
    places: tuple[Entity, ...] = ()
    objects: tuple[Entity, ...] = ()
    characters: tuple[Entity, ...] = ()
    player: Being = Being()
    npc: Being = Being()
    """The character itself."""

    @property
    def entities(self) -> tuple[Entity, ...]:
        return (*self.places, *self.objects, *self.characters)

    @model_validator(mode="after")
    def _check(self) -> Self:
        entities = self.entities
        if len(entities) > MAX_ENTITIES:
            raise ValueError(f"{len(entities)} entities; at most {MAX_ENTITIES} fit a scene")
        known: dict[str, Entity] = {}
        for entity in entities:
            if entity.id in known:
                raise ValueError(f"id '{entity.id}' is used twice; ids are unique in a scene")
            known[entity.id] = entity
        refuse_cycles(known, known)
        return self


def refuse_cycles(known: Mapping[str, Entity], changed: Iterable[str]) -> None:
    """Raises ValueError where something of `changed` holds itself, however many things lie between."""
    sound: set[str] = set()
    for start in changed:
        chain: dict[str, None] = {}
        here: str | None = start
        while here is not None and here not in sound and here in known:
            if here in chain:
                links = " in ".join([*list(chain)[list(chain).index(here) :], here][:6])
                raise ValueError(f"'{here}' is held by itself ({links}); held_by, inside and at must lead outward")
            chain[here] = None
            entity = known[here]
            if entity.held_by is not None and entity.inside is not None:
                raise ValueError(
                    f"'{here}' is held by '{entity.held_by}' and inside '{entity.inside}'; say one of them"
                )
            here = entity.parent
        sound.update(chain)
