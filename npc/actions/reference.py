"""What "it", "that one", "him" and "over there" mean: what was spoken of last, looked at or pointed at.

A pronoun goes by what was spoken of, a demonstrative by what the player points
or looks at, as the game reports it; each falls back on the other. Pure; the
ids that were spoken of, latest first, are the session's to keep.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from npc.world import Scene
from npc.world.scene import NPC, PLAYER

TargetKind = Literal["place", "object", "character"]

MAX_RECENT = 8
"""Things that are kept as spoken of; a pronoun means none that is further back."""

_END = r"(?=\s*(?:[.,!?;]|$|\b(?:please|now|then|and|to|for|up|down|over|off|away|in|on|with|here|too)\b))"
_NO_GREETING = r"(?<!^)\b(?<!hi )(?<!hello )(?<!hey )(?<!is )"
_FORMS: tuple[tuple[str, tuple[TargetKind, ...], bool], ...] = (
    (r"(?:(?:that|this)\s+(?:one|thing|stuff)|those|these)" + _END, ("object", "place", "character"), True),
    (r"(?:that|this)\s+(?:man|woman|person|guy|fellow|lady|girl|boy|kid)\b", ("character",), True),
    (r"(?:that|this)\s+(?:place|building|spot)\b", ("place",), True),
    (
        r"(?<!^)\b(?<!hi )(?<!hello )(?<!hey )(?<!is )(?:over\s+)?there\b(?!\s+(?:is|are|was|were)\b|')",
        ("place",),
        True,
    ),
    (r"(?<!^)\b(?:that|this)" + _END, ("object", "place", "character"), True),
    (r"(?<!^)\b(?<!stop )(?:it|them)" + _END, ("object", "place"), False),
    (r"(?<!^)\b(?:him|her)" + _END, ("character",), False),
)
"""Pattern, the kinds of things that it may mean (the likeliest first), and whether it points."""


@dataclass(frozen=True, slots=True)
class Reference:
    start: int
    end: int
    words: str
    kind: TargetKind
    target: str
    """An id of the scene."""


class Referents:
    """What a player may mean without naming it, in one scene at one moment."""

    def __init__(self, scene: Scene, recent: Sequence[str] = ()) -> None:
        """`recent`: ids that were spoken of, latest first."""
        self._kinds: dict[str, TargetKind] = {entity.id: "place" for entity in scene.places}
        self._kinds |= {entity.id: "object" for entity in scene.objects}
        self._kinds |= {entity.id: "character" for entity in scene.characters}
        self._at = {entity.id: entity.at for entity in scene.entities}
        attended = [target for target in (scene.player.pointing_at, scene.player.looking_at) if target]
        self._attended = [target for target in attended if target not in (NPC, PLAYER)]
        self._recent = [target for target in recent if target in self._kinds]

    @property
    def is_empty(self) -> bool:
        return not self._attended and not self._recent

    def find(self, text: str) -> list[Reference]:
        """The references in `text` (lowercase) that mean something, in order, none over another."""
        if self.is_empty:
            return []
        found: list[Reference] = []
        for pattern, kinds, is_pointing in _FORMS:
            for match in re.finditer(pattern, text):
                if any(match.start() < other.end and other.start < match.end() for other in found):
                    continue
                meant = self._meant(kinds, is_pointing)
                if meant is not None:
                    found.append(Reference(match.start(), match.end(), match[0], *meant))
        return sorted(found, key=lambda reference: reference.start)

    def _meant(self, kinds: Sequence[TargetKind], is_pointing: bool) -> tuple[TargetKind, str] | None:
        first, second = (self._attended, self._recent) if is_pointing else (self._recent, self._attended)
        for target in (*first, *second):
            if self._kinds.get(target) in kinds:
                return self._kinds[target], target
            place = self._at.get(target)
            if tuple(kinds) == ("place",) and place is not None and self._kinds.get(place) == "place":
                return "place", place  # "over there", pointing at what stands there
        return None


def explained(utterance: str, scene: Scene, recent: Sequence[str] = ()) -> Iterator[str]:
    """A note for the prompt for each reference: `By "that one" the player means sword.`"""
    for reference in Referents(scene, recent).find(" ".join(utterance.lower().split())):
        yield f'By "{reference.words}" the player means {reference.target}.'


def now_recent(recent: Sequence[str], mentioned: Sequence[str]) -> tuple[str, ...]:
    """What was spoken of, latest first, after `mentioned` were, in that order."""
    newest = list(dict.fromkeys(reversed(mentioned)))
    return tuple([*newest, *(target for target in recent if target not in newest)][:MAX_RECENT])
