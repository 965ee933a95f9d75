"""A character with everything that is computed from its files, shared by all who talk to it."""

from dataclasses import dataclass
from typing import Protocol

from npc.actions import Nomination
from npc.character import Character, history_messages, stable_messages
from npc.stages import Retriever
from npc.state import SessionState
from npc.turn import ChatMessage
from npc.world import Scene


class ActionNominator(Protocol):
    async def nominate(self, utterance: str, scene: Scene) -> Nomination | None:
        """The actions that `utterance` plainly asks for, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Mind:
    character: Character
    retriever: Retriever
    nominator: ActionNominator

    def opening(self, state: SessionState) -> list[ChatMessage]:
        """What the next prompt begins with, whatever the player says."""
        return [*stable_messages(self.character, state.scene), *history_messages(state.exchanges)]
