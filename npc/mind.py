"""A character with everything that is computed from its files, shared by all who talk to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from npc.actions import Nomination
from npc.character import Character
from npc.stages import Retriever
from npc.world import Scene


class ActionNominator(Protocol):
    async def nominate(
        self, utterance: str, scene: Scene, gauges: Mapping[str, float], recent: Sequence[str]
    ) -> Nomination | None:
        """The actions that `utterance` plainly asks for, or None. `recent`: ids that were spoken of, latest first."""
        ...


@dataclass(frozen=True, slots=True)
class Mind:
    character: Character
    retriever: Retriever
    nominator: ActionNominator
