"""Which things of the scene an utterance names, by the words of their names and ids."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from npc.actions.reference import Referents, TargetKind
from npc.actions.spelling import canonical, in_words, pattern
from npc.world import Entity, Scene
from npc.world.scene import PLAYER

STAND_INS: Mapping[TargetKind, str] = {"place": "place", "object": "thing", "character": "person"}
"""What names are replaced by, so that a phrasing is compared and not the thing that it is about."""

_STOOD_FOR = re.compile(r"\b(?:the|an?|my|your|our|this|that|these|those) (place|thing|person)\b")
_SUBJECT = re.compile(
    r"\b(?:it|that|this|they|he|she)(?:'s|'ll| is| are| was| were| will| has| have| had| looks?| seems?)\b"
)
_ELSE = r"ones?|others?|another|else|same|both|each|every\w*|any\w*|some\w+|all|rest"
_MAY_MEAN_ELSE: Mapping[TargetKind, re.Pattern[str]] = {
    "place": re.compile(rf"\b(?:here|there|back|home|away|{_ELSE})\b"),
    "object": re.compile(rf"\b(?:this|that|these|those|{_ELSE})\b"),
    "character": re.compile(rf"\b(?:{_ELSE})\b"),
}
"""Words by which something may be meant that is not named."""
_PRONOUNS: Mapping[TargetKind, re.Pattern[str]] = {
    "place": re.compile(r"(?!)"),  # "there" can stand for one that comes later, "it" hardly
    "object": re.compile(r"\b(?:it|them)\b"),
    "character": re.compile(r"\b(?:him|her|them)\b"),
}
"""The same, unless a thing of the kind was named before."""

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
                    self._meant.setdefault(canonical(name), (kind, entity.id))
                    heads.setdefault(name.split()[-1], []).append((kind, entity.id))
        for head, meant in heads.items():  # "the well" for the old well, where there is no other
            if len(set(meant)) == 1 and len(head) > 2:
                self._meant.setdefault(canonical(head), meant[0])
        known = {name for _, entities in kinds for entity in entities for name in _names(entity)} | set(heads)
        names = "|".join(
            pattern(name) for name in sorted(known, key=len, reverse=True) if canonical(name) in self._meant
        )
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
            kind, target = self._meant[canonical(match[2])]
            take(kind, target)
            return f"{match[1] or 'the'} {STAND_INS[kind]}"

        text = in_words(utterance.lower().replace("’", "'"))
        if self._pattern is not None:
            text = self._pattern.sub(stand_in, text)
        for reference in reversed(referents.find(text) if referents else []):
            take(reference.kind, reference.target)
            stood_for = f"to the {STAND_INS['place']}" if reference.words.endswith("there") else None
            text = text[: reference.start] + (stood_for or f"the {STAND_INS[reference.kind]}") + text[reference.end :]
        targets = {kind: tuple(sorted(ids, key=self._order.__getitem__)) for kind, ids in found.items()}
        return Mentions(text, targets, tuple(in_order))

    def meant(self, utterance: str, referents: Referents) -> Mapping[TargetKind, tuple[str, ...]]:
        """What a call may target by what is named; kinds are missing of which something unnamed may be meant, too."""
        mentions = self.find(utterance)
        text = _STOOD_FOR.sub(lambda match: f"<{match[1]}>", mentions.text)
        meant = {kind: set(ids) for kind, ids in mentions.targets.items()}
        for reference in reversed(referents.find(text)):
            meant.setdefault(reference.kind, set()).add(reference.target)
            text = f"{text[: reference.start]}<{STAND_INS[reference.kind]}>{text[reference.end :]}"
        text = _SUBJECT.sub("", text)
        for kind in list(meant):
            before, _, _ = text.partition(f"<{STAND_INS[kind]}>")
            if _MAY_MEAN_ELSE[kind].search(text) or _PRONOUNS[kind].search(before):
                del meant[kind]
        if "character" in meant:
            meant["character"].add(PLAYER)
        return {kind: tuple(sorted(ids)) for kind, ids in meant.items()}


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
    return {in_words(name) for name in (by_id, by_name) if name.strip()}
