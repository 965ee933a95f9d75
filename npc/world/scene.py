"""Places, objects and characters that exist around a character right now.

A scene comes from the game (a `scene` event) or, until one arrives, from the
character's YAML. Actions may only target what is in it.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_ENTITIES = 500


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has control characters; use printable text on one line")
    return text


Line = Annotated[str, Field(max_length=400), AfterValidator(_printable)]


class Entity(BaseModel):
    """One place, object or character."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    """What the game knows it by; actions name it by this id."""
    name: Line = ""
    """What people call it; the id with spaces where this is empty."""
    description: Line = ""

    @property
    def spoken_name(self) -> str:
        return self.name or self.id.replace("_", " ").replace("-", " ")


class Scene(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    description: Line = ""
    places: tuple[Entity, ...] = ()
    objects: tuple[Entity, ...] = ()
    characters: tuple[Entity, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Scene":
        entities = (*self.places, *self.objects, *self.characters)
        if len(entities) > MAX_ENTITIES:
            raise ValueError(f"{len(entities)} entities; at most {MAX_ENTITIES} fit a scene")
        seen: set[str] = set()
        for entity in entities:
            if entity.id in seen:
                raise ValueError(f"id '{entity.id}' is used twice; ids are unique in a scene")
            seen.add(entity.id)
        return self
