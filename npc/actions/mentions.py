"""Which things of the scene an utterance names, by the words of their names and ids."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from npc.actions.reference import Referents, TargetKind
from npc.world import Entity, Scene

STAND_INS: Mapping[TargetKind, str] = {"place": "place", "object": "thing", "character": "person"}
"""What names are replaced by, so that a phrasing is compared and not the thing that it is about."""

_ARTICLE = re.compile(r"^(the|an?|my|your|our|this|that|some)\s+")
_DETERMINER = r"(?:(the|an?|my|your|our|this|that|these|those)\s+)?"


@dataclass(frozen=True, slots=True)
class Mentions:
    text: str
    """The utterance in lowercase, with stand-ins in place of the names."""
    targets: Mapping[TargetKind, tuple[str, ...]] = field(default_factory=dict)
    """The ids that were named or meant, in the order of the scene; kinds of which nothing was are missing."""
    in_order: tuple[str, ...] = ()
    """The ids as they come in the utterance, for `npc.actions.reference.now_recent`."""


class Names:
    """The names of one scene, prepared for looking them up in many utterances."""

    def __init__(self, scene: Scene) -> None:
        kinds: tuple[tuple[TargetKind, tuple[Entity, ...]], ...] = (
            ("place", scene.places),
            ("object", scene.objects),
            ("character", scene.characters),
        )
        self._meant: dict[str, tuple[TargetKind, str]] = {}
        heads: dict[str, list[tuple[TargetKind, str]]] = {}
        for kind, entities in kinds:
            for entity in entities:
                for name in _names(entity):
                    self._meant.setdefault(name, (kind, entity.id))
                    heads.setdefault(name.split()[-1], []).append((kind, entity.id))
        for head, meant in heads.items():  # "the well" for the old well, where there is no other
            if len(set(meant)) == 1 and len(head) > 2:
                self._meant.setdefault(head, meant[0])
        longest_first = sorted(self._meant, key=len, reverse=True)
        names = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(rf"(?<!\w){_DETERMINER}({names})(?!\w)") if names else None
        self._order = {entity.id: n for n, (_, entity) in enumerate((k, e) for k, es in kinds for e in es)}

    def find(self, utterance: str, referents: Referents | None = None) -> Mentions:
        """What is named in `utterance`, or meant by a pronoun or a gesture where `referents` are known."""
        found: dict[TargetKind, set[str]] = {}
        in_order: list[str] = []

        def take(kind: TargetKind, target: str) -> None:
            found.setdefault(kind, set()).add(target)
            in_order.append(target)

        def stand_in(match: re.Match[str]) -> str:
            kind, target = self._meant[match[2]]
            take(kind, target)
            return f"{match[1] or 'the'} {STAND_INS[kind]}"

        text = " ".join(utterance.lower().replace("’", "'").split())
        if self._pattern is not None:
            text = self._pattern.sub(stand_in, text)
        for reference in reversed(referents.find(text) if referents else []):
            take(reference.kind, reference.target)
            stood_for = f"to the {STAND_INS['place']}" if reference.words.endswith("there") else None
            text = text[: reference.start] + (stood_for or f"the {STAND_INS[reference.kind]}") + text[reference.end :]
        targets = {kind: tuple(sorted(ids, key=self._order.__getitem__)) for kind, ids in found.items()}
        return Mentions(text, targets, tuple(in_order))


def names_of(scene: Scene) -> Names:
    """The names of a scene; computed once for all scenes in which the same things are called the same."""
    return _named(*(tuple((e.id, e.name) for e in kind) for kind in (scene.places, scene.objects, scene.characters)))


@lru_cache(maxsize=256)
def _named(*kinds: tuple[tuple[str, str], ...]) -> Names:
    places, objects, characters = (tuple(Entity.model_construct(id=i, name=n) for i, n in kind) for kind in kinds)
    return Names(Scene.model_construct(places=places, objects=objects, characters=characters))


def _names(entity: Entity) -> set[str]:
    by_id = entity.id.replace("_", " ").replace("-", " ").replace(".", " ").lower()
    by_name = _ARTICLE.sub("", " ".join(entity.spoken_name.lower().split()))
    return {name for name in (" ".join(by_id.split()), by_name) if name}
