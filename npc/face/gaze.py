"""Where a speaker looks: at whom it talks to, and for a moment at what it names.

People look at a thing about a quarter of a second before they name it (Griffin
and Bock, 2000), and away from the listener when they begin a long answer.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from npc.turn import Word
from npc.world import Scene
from npc.world.scene import PLAYER

_LEAD_S = 0.25
_STAY_S = 0.7


@dataclass(frozen=True, slots=True)
class Glance:
    """From `sample` on, look at `target`: an id of the scene, or the player."""

    sample: int
    target: str


def glances(words: Sequence[Word], scene: Scene, rate_hz: int, start_sample: int = 0) -> tuple[Glance, ...]:
    """The glances of a clause that begins at `start_sample` of the reply: at what its words name, and back."""
    names = _names_of(tuple((entity.id, entity.spoken_name) for entity in scene.entities))
    if not names:
        return ()
    plain = [re.sub(r"\W", "", word.text).lower() for word in words]
    found: list[Glance] = []
    n = 0
    while n < len(words):
        length, target = _named(plain, n, names)
        if target is None:
            n += 1
            continue
        sample = max(start_sample + words[n].start_sample - round(_LEAD_S * rate_hz), start_sample)
        back = start_sample + words[n + length - 1].end_sample + round((_STAY_S - _LEAD_S) * rate_hz)
        if found and found[-1].sample >= sample:
            found.pop()  # on to the next thing at once
        found += [Glance(sample, target), Glance(back, PLAYER)]
        n += length
    return tuple(found)


@lru_cache(maxsize=256)
def _names_of(entities: tuple[tuple[str, str], ...]) -> Mapping[tuple[str, ...], str]:
    """Ids by the words of their names; computed once for all scenes in which the same things are called the same."""
    return {name: entity_id for entity_id, spoken in entities for name in _names(spoken)}


def _named(plain: Sequence[str], at: int, names: Mapping[tuple[str, ...], str]) -> tuple[int, str | None]:
    for length in (4, 3, 2, 1):
        target = names.get(tuple(plain[at : at + length]))
        if target is not None and at + length <= len(plain):
            return length, target
    return 1, None


def _names(spoken: str) -> list[tuple[str, ...]]:
    words = tuple(word for word in re.sub(r"[^\w\s]", "", spoken).lower().split() if word not in ("the", "a", "an"))
    return [words] if 0 < len(words) <= 4 else []
