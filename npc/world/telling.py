"""What of the scene is of this moment: who stands where, looks at what, holds what.

These sentences change with every step, so they go to the end of a prompt, as
notes, behind what is kept in the model's cache. Names in them are the game's
own words: `npc.character.prompt` cleans notes before a model reads them.
"""

from collections.abc import Iterator, Sequence

from npc.world.scene import NPC, PLAYER, Being, Entity, Fact, Scene
from npc.world.surroundings import Surroundings

MAX_NOTES = 6
MAX_NAME = 48
"""Characters of a name; a longer one is cut, since a note of many would crowd out the talk."""
_BESIDE_M = 1.5


def tell_now(scene: Scene) -> tuple[str, ...]:
    """At most MAX_NOTES sentences, the player first; none where the game reports nothing of the kind."""
    around = Surroundings(scene)
    notes = [*_of_player(around), *_of_npc(around), *_of_others(around), *_of_things(around)]
    return tuple(notes[:MAX_NOTES])


def _of_player(around: Surroundings) -> Iterator[str]:
    player = around.scene.player
    parts = list(_whereabouts(around, player, around.distance(PLAYER)))
    if player.looking_at:
        parts.append(f"looks at {_whom(around, player.looking_at)}")
    if player.pointing_at:
        parts.append(f"points at {_whom(around, player.pointing_at)}")
    if held := around.held(PLAYER):
        parts.append(f"holds {_list([_the(entity) for entity in held])}")
    parts += [f"is {fact}" for fact in _facts(player.state)]
    if parts:
        yield f"The player {_list(parts)}."


def _whereabouts(around: Surroundings, player: Being, distance: float | None) -> Iterator[str]:
    if distance is not None:
        yield "is beside you" if distance <= _BESIDE_M else f"is {distance:.0f} metres away"
    elif player.at is not None and player.at == around.scene.npc.at:
        yield "is here with you"
    elif player.at is not None:
        yield f"is at {_whom(around, player.at)}"


def _of_npc(around: Surroundings) -> Iterator[str]:
    npc = around.scene.npc
    parts = [f"are at {_whom(around, npc.at)}"] if npc.at else []
    if npc.looking_at:
        parts.append(f"look at {_whom(around, npc.looking_at)}")
    if held := around.held(NPC):
        parts.append(f"hold {_list([_the(entity) for entity in held])}")
    parts += [f"are {fact}" for fact in _facts(npc.state)]
    if parts:
        yield f"You {_list(parts)}."


def _of_others(around: Surroundings) -> Iterator[str]:
    for character in _nearest(around, around.scene.characters):
        if character.id in (PLAYER, NPC):
            continue
        parts = [f"holds {_list([_the(entity) for entity in held])}"] if (held := around.held(character.id)) else []
        if character.looking_at:
            parts.append(f"looks at {_whom(around, character.looking_at)}")
        parts += [f"is {fact}" for fact in _facts(character.state)]
        if parts:
            yield f"{_cut(character.spoken_name)} {_list(parts)}."


def _of_things(around: Surroundings) -> Iterator[str]:
    things = [entity for entity in (*around.scene.objects, *around.scene.places) if entity.state]
    for thing in _nearest(around, things):
        yield f"{_upper(_the(thing))} is {_list(list(_facts(thing.state)))}."


def _nearest(around: Surroundings, entities: Sequence[Entity]) -> list[Entity]:
    def far(entity: Entity) -> float:
        distance = around.distance(entity.id)
        return distance if distance is not None else float("inf")

    return sorted(entities, key=far)


def _facts(state: Sequence[tuple[str, Fact]]) -> Iterator[str]:
    """`locked`, `not locked`, `price 3`."""
    for key, value in state:
        told = key.replace("_", " ")
        match value:
            case True:
                yield told
            case False:
                yield f"not {told}"
            case float():
                yield f"{told} {value:g}"
            case _:
                yield f"{told} {value}"


def _whom(around: Surroundings, entity_id: str) -> str:
    if entity_id == NPC:
        return "you"
    if entity_id == PLAYER:
        return "the player"
    entity = around.known.get(entity_id)
    if entity is None:
        return _cut(entity_id)
    return _cut(entity.spoken_name) if entity in around.scene.characters else _the(entity)


def _the(entity: Entity) -> str:
    name = _cut(entity.spoken_name)
    return name if entity.name else f"the {name}"


def _cut(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[:MAX_NAME].rstrip() + "…"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
