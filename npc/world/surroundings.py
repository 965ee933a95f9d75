"""A scene with its relations worked out: how far things are, what is within reach, who holds what.

`perceived` is what the character notices of a scene; made for every reply, it
keeps the order of things and lets go of them late, so that the prompt's
beginning does not change whenever somebody takes a step.
"""

import math
from collections.abc import Collection, Iterable

from npc.world.scene import NPC, PLAYER, Being, Entity, Scene

NEAR_M = 3.0
"""Within reach of a step."""
RANGE_M = 40.0
"""As far as a character notices things."""
_LET_GO = 1.25
"""What was noticed stays so up to this multiple of the range."""


class Surroundings:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.known = {entity.id: entity for entity in scene.entities}
        self._held: dict[str, list[Entity]] = {}
        for entity in scene.objects:
            if entity.held_by is not None:
                self._held.setdefault(entity.held_by, []).append(entity)

    def distance(self, entity_id: str) -> float | None:
        """Metres from the character; None where it is not known. What is held or contained is where its holder is."""
        here = self.scene.npc.position
        being: Being | Entity | None
        for being in self._outward(entity_id):
            if being is self.scene.npc:
                return 0.0
            if being.distance is not None:
                return being.distance
            if here is not None and being.position is not None:
                return math.dist(here, being.position)
        return None

    def is_near(self, entity_id: str) -> bool:
        """Within reach: as the game says, else within NEAR_M, else at the same place. What is not known is not near."""
        place = self.scene.npc.at
        if place is not None and entity_id == place:
            return True
        for being in self._outward(entity_id):
            if being is self.scene.npc:
                return True
            if isinstance(being, Entity) and being.near is not None:
                return being.near
        distance = self.distance(entity_id)
        if distance is not None:
            return distance <= NEAR_M
        return place is not None and any(being.at == place for being in self._outward(entity_id))

    def held(self, holder_id: str) -> list[Entity]:
        """What somebody holds: a character, `player` or `npc`."""
        return self._held.get(holder_id, [])

    def name(self, entity_id: str) -> str:
        """What people call it; the id itself where the scene does not hold it."""
        entity = self.known.get(entity_id)
        return entity.spoken_name if entity else entity_id

    def _outward(self, entity_id: str) -> Iterable[Being | Entity]:
        """The thing, its holder, the holder's container …; not the place where all that is."""
        here: str | None = entity_id
        while here is not None:
            if here == NPC:
                yield self.scene.npc
                return
            entity = self.known.get(here)
            if entity is None:
                if here == PLAYER:
                    yield self.scene.player
                return
            yield entity
            here = entity.held_by or entity.inside


def perceived(scene: Scene, range_m: float = RANGE_M, seen: Collection[str] = ()) -> Scene:
    """What the character notices: visible, and within `range_m` where the distance is known.

    Of `seen` (ids that it noticed before) things stay until a quarter further away.
    """
    around = Surroundings(scene)

    def is_noticed(entity: Entity) -> bool:
        if not entity.visible:
            return False
        distance = around.distance(entity.id)
        return distance is None or distance <= range_m * (_LET_GO if entity.id in seen else 1)

    kept = {
        kind: tuple(filter(is_noticed, entities))
        for kind, entities in (
            ("places", scene.places),
            ("objects", scene.objects),
            ("characters", scene.characters),
        )
    }
    return scene.model_copy(update=kept)
