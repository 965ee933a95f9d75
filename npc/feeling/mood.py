"""A character's mood, arousal and regard for one player: moved by rules that its writer states, fading with time.

All three go from -100 to 100. Mood and arousal return to how the character
is by nature within minutes; regard is remembered and returns in days. The
state is a value that the session keeps; nothing here looks at a clock.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from npc.feeling.emotions import Mix
from npc.feeling.words import Appraisal, Tone

OUTCOMES = ("done", "failed", "refused")
MAX_WORDS = 24


@dataclass(frozen=True, slots=True)
class Rule:
    """When `tones` or `words` are heard, or an action ends as stated: move by these points."""

    tones: tuple[Tone, ...] = ()
    words: tuple[str, ...] = ()
    """Words or phrases that the player says."""
    action: str = ""
    outcome: Literal["done", "failed", "refused"] = "done"
    mood: float = 0.0
    arousal: float = 0.0
    regard: float = 0.0
    note: str = ""
    """Told to the character with the player's words: `You cannot bear talk of the mine.`"""

    def hears(self, text: str, tones: frozenset[Tone]) -> bool:
        if not tones.isdisjoint(self.tones):
            return True
        plain = " ".join(text.lower().replace("’", "'").split())
        return any(re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", plain) for word in self.words)


PLAIN_RULES: tuple[Rule, ...] = (
    Rule(tones=("thanks",), mood=4, regard=3),
    Rule(tones=("praise",), mood=8, arousal=4, regard=5),
    Rule(tones=("polite",), regard=1),
    Rule(tones=("apology",), mood=2, arousal=-5, regard=4),
    Rule(tones=("insult",), mood=-15, arousal=20, regard=-12),
    Rule(tones=("threat",), mood=-20, arousal=40, regard=-20),
    Rule(tones=("rejection",), mood=-6, regard=-4),
    Rule(tones=("shouting",), mood=-3, arousal=15),
    Rule(tones=("whispering",), arousal=-8),
)
"""What moves anybody; a writer's rules for a tone replace that tone's."""


@dataclass(frozen=True, slots=True)
class Temper:
    """How a character is by nature, and what moves it."""

    mood: float = 0.0
    arousal: float = 0.0
    regard: float = 0.0
    """For somebody whom it never met."""
    rules: tuple[Rule, ...] = ()
    mood_half_life_s: float = 240.0
    arousal_half_life_s: float = 60.0
    regard_half_life_s: float = 14 * 86_400.0
    contagion: float = 6.0
    """Points of arousal and mood that an agitated, or pleased, voice moves it by itself."""

    def all_rules(self) -> Iterator[Rule]:
        own = {tone for rule in self.rules for tone in rule.tones}
        yield from self.rules
        yield from (rule for rule in PLAIN_RULES if own.isdisjoint(rule.tones))


@dataclass(frozen=True, slots=True)
class Feeling:
    """How a character feels now; JSON by its fields."""

    mood: float = 0.0
    arousal: float = 0.0
    regard: float = 0.0

    @classmethod
    def at_first(cls, temper: Temper) -> "Feeling":
        return cls(temper.mood, temper.arousal, temper.regard)

    @property
    def gauges(self) -> Mapping[str, float]:
        """For the requirements of actions (`npc.actions.requires`)."""
        return {"mood": self.mood, "arousal": self.arousal, "regard": self.regard}

    def later(self, temper: Temper, seconds: float) -> "Feeling":
        """After a while in which nothing happened."""

        def faded(value: float, nature: float, half_life_s: float) -> float:
            return nature + (value - nature) * math.pow(0.5, max(seconds, 0.0) / half_life_s)

        return Feeling(
            faded(self.mood, temper.mood, temper.mood_half_life_s),
            faded(self.arousal, temper.arousal, temper.arousal_half_life_s),
            faded(self.regard, temper.regard, temper.regard_half_life_s),
        )

    def moved(self, mood: float = 0.0, arousal: float = 0.0, regard: float = 0.0) -> "Feeling":
        """The nearer a value is to its end, the less moves it further: nobody is won over by thanks alone."""
        return replace(
            self,
            mood=_moved(self.mood, mood),
            arousal=_moved(self.arousal, arousal),
            regard=_moved(self.regard, regard),
        )

    def on_words(self, temper: Temper, text: str, appraisal: Appraisal) -> "Feeling":
        """After the player said `text`: each rule that applies, once."""
        feeling = self.moved(temper.contagion * appraisal.valence, temper.contagion * appraisal.arousal)
        for rule in temper.all_rules():
            if rule.hears(text, appraisal.tones):
                feeling = feeling.moved(rule.mood, rule.arousal, rule.regard)
        return feeling

    def on_result(self, temper: Temper, action: str, outcome: str) -> "Feeling":
        """After an action of the character's own ended in the game."""
        feeling = self
        for rule in temper.rules:
            if rule.action == action and rule.outcome == outcome:
                feeling = feeling.moved(rule.mood, rule.arousal, rule.regard)
        return feeling


def notes(temper: Temper, text: str, appraisal: Appraisal) -> tuple[str, ...]:
    """What the writer has to say on the player's words."""
    return tuple(rule.note for rule in temper.rules if rule.note and rule.hears(text, appraisal.tones))


_REGARD = (
    (-60, "You hate the player."),
    (-25, "You distrust the player."),
    (-8, "You are cool towards the player."),
)
_LIKING = (
    (60, "You love the player as a friend."),
    (25, "You like and trust the player."),
    (8, "You like the player."),
)


def told(feeling: Feeling) -> tuple[str, ...]:
    """How it feels, in at most two short sentences for the prompt; none where that is nothing special.

    The words change by bands, so that a prompt does not change with every point.
    """
    lines: list[str] = []
    regard = next((words for limit, words in _REGARD if feeling.regard <= limit), None)
    regard = regard or next((words for limit, words in _LIKING if feeling.regard >= limit), None)
    if regard:
        lines.append(regard)
    mood = _mood_words(feeling)
    if mood:
        lines.append(f"You are {mood} now.")
    return tuple(lines)


def _mood_words(feeling: Feeling) -> str:
    is_stirred = feeling.arousal > 25
    if feeling.mood <= -20:
        return "angry and upset" if is_stirred else "in low spirits"
    if feeling.mood >= 20:
        return "happy and excited" if is_stirred else "in a good mood"
    return "on edge" if feeling.arousal > 40 else ""


def resting_mix(feeling: Feeling) -> Mix:
    """What the mood shows on a face that shows nothing else."""
    strength = min(abs(feeling.mood) / 100, 1.0) * 0.6
    if strength < 0.06:
        return {"fear": min(feeling.arousal / 100, 1) * 0.3} if feeling.arousal > 40 else {}
    if feeling.mood > 0:
        return {"joy": strength}
    return {"anger" if feeling.arousal > 10 else "sad": strength}


def _moved(value: float, by: float) -> float:
    room = (100 - value) if by > 0 else (100 + value)
    return max(-100.0, min(value + by * min(room / 60, 1.0), 100.0))


@dataclass(frozen=True, slots=True)
class Stirred:
    """What an utterance changed, for a session that keeps `feeling` and tells `notes` in the prompt."""

    feeling: Feeling
    appraisal: Appraisal
    notes: Sequence[str] = field(default=())


def stir(feeling: Feeling, temper: Temper, text: str, appraisal: Appraisal) -> Stirred:
    """The whole step: words move the feeling, and what is to be told of it is worded."""
    after = feeling.on_words(temper, text, appraisal)
    return Stirred(after, appraisal, (*told(after), *notes(temper, text, appraisal)))
