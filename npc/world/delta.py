"""What changed in a scene since the last report: a few things, not five hundred.

`apply_delta` is pure and checks only what it changes, so that thirty reports
a second cost next to nothing (measured by `npc profile actions`).
"""

from collections.abc import Iterator
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from npc.errors import InputError
from npc.world.scene import MAX_ENTITIES, Being, Entity, Id, Line, Scene, refuse_cycles

Model = TypeVar("Model", Being, Entity)

Changed = Annotated[tuple[Entity, ...], Field(max_length=MAX_ENTITIES)]


class SceneDelta(BaseModel):
    """Things that came or changed, by kind, and the ids of those that went.

    Of a thing that is known, only the fields that are given change; null takes
    a value back. The same holds for `player` and `npc`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: Changed = ()
    objects: Changed = ()
    characters: Changed = ()
    remove: Annotated[tuple[Id, ...], Field(max_length=MAX_ENTITIES)] = ()
    description: Line | None = None
    player: Being | None = None
    npc: Being | None = None


def apply_delta(scene: Scene, delta: SceneDelta) -> Scene:
    """The scene after `delta`; what did not change keeps its place, so that what is told of it stays the same.

    Raises InputError (`bad-scene`), and nothing has changed: for an id that is
    reported twice, removed without being there, or of another kind than before,
    for too many things, and for things that hold themselves.
    """
    kinds = {
        "places": {entity.id: entity for entity in scene.places},
        "objects": {entity.id: entity for entity in scene.objects},
        "characters": {entity.id: entity for entity in scene.characters},
    }
    _remove(kinds, delta.remove)
    changed: set[str] = set(delta.remove)
    for kind, entity in _upserts(delta):
        if entity.id in changed:
            raise _refused(f"'{entity.id}' stands twice in the delta")
        changed.add(entity.id)
        own = kinds[kind]
        if entity.id not in own and (other := next((k for k, known in kinds.items() if entity.id in known), None)):
            raise _refused(f"'{entity.id}' is among the {other}; remove it there before it comes to the {kind}")
        own[entity.id] = _merged(own[entity.id], entity) if entity.id in own else entity
    known = kinds["places"] | kinds["objects"] | kinds["characters"]
    if len(known) > MAX_ENTITIES:
        raise _refused(f"{len(known)} entities; at most {MAX_ENTITIES} fit a scene")
    try:
        refuse_cycles(known, changed - set(delta.remove))
    except ValueError as error:
        raise _refused(str(error)) from error
    return Scene.model_construct(
        description=scene.description if delta.description is None else delta.description,
        places=tuple(kinds["places"].values()),
        objects=tuple(kinds["objects"].values()),
        characters=tuple(kinds["characters"].values()),
        player=_merged(scene.player, delta.player) if delta.player else scene.player,
        npc=_merged(scene.npc, delta.npc) if delta.npc else scene.npc,
    )


def _upserts(delta: SceneDelta) -> Iterator[tuple[str, Entity]]:
    for kind, entities in (("places", delta.places), ("objects", delta.objects), ("characters", delta.characters)):
        for entity in entities:
            yield kind, entity


def _remove(kinds: dict[str, dict[str, Entity]], ids: tuple[str, ...]) -> None:
    for entity_id in ids:
        own = next((known for known in kinds.values() if entity_id in known), None)
        if own is None:
            raise _refused(f"'{entity_id}' cannot be removed: it is not in the scene")
        del own[entity_id]


def _merged(before: Model, patch: Model) -> Model:
    given = {name: getattr(patch, name) for name in patch.model_fields_set}
    if given.get("held_by") is not None:  # taken in hand, it is no longer in the chest, and the other way round
        given.setdefault("inside", None)
    elif given.get("inside") is not None:
        given.setdefault("held_by", None)
    return before.model_copy(update=given)


def _refused(reason: str) -> InputError:
    return InputError(f"scene-delta: {reason}", "bad-scene")
