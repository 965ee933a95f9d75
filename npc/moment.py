"""What a character perceives and feels as it answers: one value, made before the model writes.

Nothing is changed by it until the reply is committed (`settle`), so that a
reply which was begun at a pause leaves no trace in anybody's heart.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from npc.actions import Nomination, compile_reply_grammar
from npc.actions.mentions import names_of
from npc.actions.nominate import mentioned
from npc.actions.reference import Referents, explained, now_recent
from npc.character import Character
from npc.feeling import Heart
from npc.state import Exchange, Outcome, SessionState
from npc.turn import Grammar, Samples
from npc.world import Scene, tell_now


@dataclass(frozen=True, slots=True)
class Moment:
    text: str
    """What the player said."""
    scene: Scene
    """What the character notices of the game's."""
    heart: Heart
    """After it heard that."""
    notes: tuple[str, ...]
    """What the prompt tells of this moment alone."""
    recent: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def gauges(self) -> Mapping[str, float]:
        return self.heart.feeling.gauges

    def hindered(self, hindrance: str) -> "Moment":
        """Told why what was asked for cannot be."""
        return replace(self, notes=(*self.notes, f"You cannot do that now: {hindrance}."))

    def settle(self, state: SessionState) -> None:
        """The reply is committed: it was so."""
        state.heart = self.heart
        state.recent = now_recent(state.recent, mentioned(self.text, self.scene))
        state.seen = frozenset(entity.id for entity in self.scene.entities)
        state.told(self.outcomes)


def take_in(
    character: Character, state: SessionState, scene: Scene, text: str, voice: Samples | None, now_s: float
) -> Moment:
    """`scene` as the character perceives it; `voice` is how the player spoke, [n] at 16 kHz, None where they typed.

    Pure, and milliseconds where there is a voice: run it beside the event loop.
    """
    recent = state.recent
    names_of(scene)  # milliseconds where the names are new, and cached: whoever listens for them needs it next
    heart, stirred = state.heart.hears(character.temper, text, voice, now_s)
    notes = (*tell_now(scene), *explained(text, scene, recent), *stirred.notes)
    return Moment(text, scene, heart, notes, recent, state.outcomes)


def remember(state: SessionState, exchange: Exchange) -> None:
    """What was said stays, for the prompt and as what "it" may mean: what the player spoke of, then the character."""
    state.remember(exchange)
    told = reversed(mentioned(exchange.npc, state.scene))  # of what the character tells, its subject comes first
    state.recent = now_recent(state.recent, (*told, *mentioned(exchange.player, state.scene)))


def names_around(character: Character, scene: Scene) -> tuple[str, ...]:
    """As they are spoken, without articles, each once."""
    spoken = (character.name, *(entity.spoken_name for entity in scene.entities))
    return tuple(dict.fromkeys(re.sub(r"^(?:the|an?|some)\s+", "", name, flags=re.IGNORECASE) for name in spoken))


def grammar_of(character: Character, moment: Moment, nomination: Nomination | None) -> Grammar:
    """What the player plainly asks for must be done, if it can be; anything else may be, with what was named."""
    targets = names_of(moment.scene).meant(moment.text, Referents(moment.scene, moment.recent))
    nominated = nomination is not None and bool(nomination.names)
    hindered = nomination is not None and not nomination.names
    return compile_reply_grammar(
        character.actions,
        moment.scene,
        "required" if nominated else "none" if hindered else "auto",
        nomination.names if nomination is not None and nominated else None,
        targets if nomination is None else nomination.targets,
        gauges=moment.gauges,
        expressions=character.expressions,
    )
