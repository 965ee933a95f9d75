"""A character as its folder describes it: who speaks, how, of what and with which actions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from npc.actions.expression import expressions
from npc.actions.spec import ActionSpec
from npc.config import TurnTaking
from npc.feeling.emotions import Mix
from npc.feeling.mood import Temper
from npc.turn import Sampling, Voice
from npc.world import Scene

Reaction = Literal["gaze", "nod", "breath"]


@dataclass(frozen=True, slots=True)
class Example:
    """A model exchange; `npc` may hold calls, written as the grammar writes them."""

    player: str
    npc: str


@dataclass(frozen=True, slots=True)
class Character:
    id: str
    """The name of its folder."""
    folder: Path
    name: str
    role: str
    """In a few words: "blacksmith of Ashford"."""
    persona: str
    voice: Voice
    style: str = ""
    greeting: str = ""
    goals: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    emotions: tuple[str, ...] = ()
    """Names of what the character shows; those that are not in `npc.feeling.EMOTIONS` are in `own_emotions`."""
    own_emotions: Mapping[str, Mix] = field(default_factory=dict)
    gestures: tuple[str, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    """What it shows at once when the player may have finished, in turn."""
    temper: Temper = field(default_factory=Temper)
    """How it feels by nature, and what moves it."""
    actions: tuple[ActionSpec, ...] = ()
    examples: tuple[Example, ...] = ()
    scene: Scene = field(default_factory=Scene)
    """What is around until the game says otherwise."""
    knowledge: tuple[Path, ...] = ()
    """Markdown files."""
    turn_taking_overrides: Mapping[str, float] = field(default_factory=dict)
    """What differs from the settings, by the names of `npc.config.TurnTaking`."""
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def expressions(self) -> tuple[ActionSpec, ...]:
        """What it may write of its feelings and gestures, for the grammar and the parser."""
        return expressions(self.emotions, self.gestures)

    def turn_taking(self, settings: TurnTaking) -> TurnTaking:
        """The settings, with this character's own in place of theirs."""
        return settings.model_copy(update=dict(self.turn_taking_overrides))
