"""Which actions, with which targets, can be done here and now.

Judges what actions require against the scene and the character's feeling,
once a reply: the grammar, the parser and the nominator all ask here, so that
what may be written, what is accepted and what is expected are the same.
"""

from collections.abc import Mapping
from functools import cached_property

from npc.actions.requires import NOTHING, TARGET, Requires
from npc.actions.spec import ActionSpec, Parameter
from npc.world import Scene, Surroundings
from npc.world.scene import NPC, PLAYER

NO_GAUGES: Mapping[str, float] = {}
_TARGETS = ("place", "object", "character")


class Conditions:
    """`gauges`: `regard`, `mood` and `arousal`, -100 to 100; 0 where one is missing."""

    def __init__(self, scene: Scene, gauges: Mapping[str, float] = NO_GAUGES) -> None:
        self.scene = scene
        self.gauges = gauges
        self._near: dict[str, bool] = {}
        self._targets: dict[tuple[str, Requires, frozenset[str]], tuple[str, ...]] = {}
        """What is legal, for all parameters of a kind that are restricted alike."""

    @cached_property
    def _around(self) -> Surroundings:
        return Surroundings(self.scene)

    def targets(self, action: ActionSpec, parameter: Parameter) -> tuple[str, ...]:
        """The bare values that are legal for `parameter` now; none for strings and numbers."""
        if parameter.kind not in _TARGETS:
            return parameter.targets(self.scene)
        words = frozenset((parameter.name, TARGET))
        requires = action.requires if not words.isdisjoint(action.requires.words) else NOTHING
        key = (parameter.kind, requires, words if requires is not NOTHING else frozenset())
        if key not in self._targets:
            values = parameter.targets(self.scene)
            if requires is not NOTHING:
                values = tuple(value for value in values if self.unfit(action, parameter, value) is None)
            self._targets[key] = values
        return self._targets[key]

    def is_possible(self, action: ActionSpec) -> bool:
        """Whether it can be done with some targets."""
        return self.unmet(action) is None

    def unmet(self, action: ActionSpec) -> str | None:
        """What is missing for it, in words that a prompt may repeat; None where it can be done."""
        requires = action.requires
        own = {TARGET, *(parameter.name for parameter in action.parameters)}
        for comparison in requires.gauges:
            if not comparison.holds(self.gauges):
                return f"{comparison} is required and it is {self.gauges.get(comparison.gauge, 0.0):g}"
        for word in requires.near:
            if word not in own and not self._is_near(word):
                return f"{self._name(word)} {_is(word)} not near"
        for word in requires.holding:
            if word not in own and not self._is_held(word, NPC):
                return f"you do not hold {self._name(word)}"
        for word in requires.player_holding:
            if word not in own and not self._is_held(word, PLAYER):
                return f"the player does not hold {self._name(word)}"
        for word, fact in requires.is_:
            if word not in own and not self._has(word, fact):
                return f"{self._name(word)} {_is(word)} not {fact.replace('_', ' ')}"
        for word, fact in requires.is_not:
            if word not in own and self._has(word, fact):
                return f"{self._name(word)} {_is(word)} {fact.replace('_', ' ')}"
        for parameter in action.parameters:
            if parameter.is_optional or parameter.kind in ("string", "number"):
                continue
            if not self.targets(action, parameter):
                return f"there is no {parameter.kind} for it here"
        return None

    def unfit(self, action: ActionSpec, parameter: Parameter, value: str) -> str | None:
        """Why `value`, which is here, may not stand for `parameter` now; None where it may."""
        words = frozenset((parameter.name, TARGET))
        requires = action.requires
        if not words.isdisjoint(requires.near) and not self._is_near(value):
            return f"{self._name(value)} {_is(value)} not near"
        if not words.isdisjoint(requires.holding) and not self._is_held(value, NPC):
            return f"you do not hold {self._name(value)}"
        if not words.isdisjoint(requires.player_holding) and not self._is_held(value, PLAYER):
            return f"the player does not hold {self._name(value)}"
        for facts, is_wanted in ((requires.is_, True), (requires.is_not, False)):
            for thing, fact in facts:
                if thing in words and self._has(value, fact) != is_wanted:
                    return f"{self._name(value)} {_is(value)} {'not ' if is_wanted else ''}{fact.replace('_', ' ')}"
        return None

    def _is_near(self, entity_id: str) -> bool:
        if entity_id not in self._near:
            self._near[entity_id] = self._around.is_near(entity_id)
        return self._near[entity_id]

    def _is_held(self, entity_id: str, holder: str) -> bool:
        entity = self._around.known.get(entity_id)
        return entity is not None and entity.held_by == holder

    def _has(self, entity_id: str, fact: str) -> bool:
        """A fact that is not reported is not so."""
        if entity_id == PLAYER:
            return bool(dict(self.scene.player.state).get(fact))
        if entity_id == NPC:
            return bool(dict(self.scene.npc.state).get(fact))
        entity = self._around.known.get(entity_id)
        return entity is not None and bool(dict(entity.state).get(fact))

    def _name(self, entity_id: str) -> str:
        return {PLAYER: "the player", NPC: "you"}.get(entity_id) or self._around.name(entity_id)


def _is(entity_id: str) -> str:
    return "are" if entity_id == NPC else "is"
