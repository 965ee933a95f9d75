"""What a character shows while it speaks: emotions and gestures, written as calls of their own.

    [feel(name=gruff)] Aye? [feel(name=fond, strength=0.5)] Sit down, then. [gesture(name=shrug)]

They are part of the performance and not of the game's world: nothing is
proposed, committed or answered, and a required action does not count them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from npc.actions.spec import ActionSpec, Args, Parameter

FEEL, GESTURE = "feel", "gesture"
RESERVED = (FEEL, GESTURE)
"""Names that no action can have."""


@dataclass(frozen=True, slots=True)
class Feel:
    """From here on the character shows this emotion."""

    name: str
    strength: float = 1.0
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Gesture:
    name: str


def expressions(emotions: Sequence[str], gestures: Sequence[str] = ()) -> tuple[ActionSpec, ...]:
    """The calls of somebody who shows these."""
    specs: list[ActionSpec] = []
    if emotions:
        strength = Parameter("strength", "number", is_optional=True, minimum=0, maximum=1)
        specs.append(
            ActionSpec(FEEL, "Show a feeling.", (Parameter("name", "enum", choices=tuple(emotions)), strength))
        )
    if gestures:
        specs.append(ActionSpec(GESTURE, "Make a gesture.", (Parameter("name", "enum", choices=tuple(gestures)),)))
    return tuple(specs)


def shown(name: str, args: Args) -> Feel | Gesture:
    """What a call of an expression shows."""
    if name == GESTURE:
        return Gesture(str(args["name"]))
    return Feel(str(args["name"]), float(args.get("strength", 1.0)))
