"""What a player's words do to somebody: thank, insult, threaten, praise, ask nicely.

A word list with negation, not a model: it must cost nothing, and its mistakes
must be such that a writer can see why. Valence after the norms of Warriner et
al. (2013), rounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Tone = Literal[
    "thanks", "praise", "polite", "apology", "greeting", "farewell", "insult", "threat", "rejection", "shouting",
    "whispering", "sadness",
]  # fmt: skip
TONES: tuple[Tone, ...] = get_args(Tone)

_SAID: dict[Tone, tuple[str, float]] = {
    "thanks": (r"thank you|thanks|thank ye|cheers|much obliged|i'm grateful|i appreciate", 0.5),
    "praise": (
        r"well done|good (?:work|job|man|woman|lad|girl|one)|you(?:'re| are) (?:not |so |very |really |the )?"
        r"(?:kind|great|good|nice|wonderful|amazing|brilliant|clever|funny|beautiful|lovely|best|brave|wise|sweet|"
        r"a genius|a friend|my friend|helpful|talented)|i (?:like|love|admire|trust) (?:you|your)|"
        r"(?:wonderful|beautiful|excellent|amazing|splendid|delicious|impressive|marvellous|fantastic|lovely) "
        r"(?:work|sword|food|soup|job|place|forge|piece|idea|story)|nicely done",
        0.8,
    ),
    "polite": (r"please|if you (?:please|would|don't mind)|could you kindly|may i|excuse me|pardon", 0.2),
    "apology": (r"i(?:'m| am) (?:so |very |really )?sorry|i apologi[sz]e|forgive me|my (?:fault|mistake|bad)", 0.3),
    "greeting": (r"^(?:hello|hi|hey|good (?:morning|day|evening)|greetings|well met)", 0.2),
    "farewell": (r"goodbye|good bye|farewell|see you|good night|take care", 0.1),
    "insult": (
        r"(?:you(?:'re| are)?|you (?:stupid|dumb|old|damn|bloody|filthy|useless)|what an?|such an?) (?:\w+ ){0,2}"
        r"(?:idiot|fool|moron|liar|thief|coward|pig|rat|bastard|swine|scum|dog|worm|loser|crook|clown|cheat|"
        r"stupid|dumb|useless|ugly|pathetic|worthless|disgusting|boring|annoying|crazy|terrible|awful|incompetent)"
        r"|shut up|screw you|damn you|to hell with you|go to hell|i hate you|i despise you|idiot|moron|bastard|"
        r"your (?:\w+ ){0,2}(?:is|are) (?:garbage|rubbish|trash|worthless|pathetic|terrible|awful|shit)",
        -0.8,
    ),
    "threat": (
        r"i(?:'ll| will|'m going to| am going to|'m gonna) (?:kill|hurt|burn|destroy|beat|rob|stab|break|end|gut|hang) "
        r"|or (?:else|i'll)|you(?:'ll| will) (?:regret|pay for|be sorry)|i could kill|watch your back|"
        r"give me your money|hands up",
        -0.9,
    ),
    "rejection": (
        r"go away|leave me alone|get lost|i don't (?:care|trust you|believe you|like you)|"
        r"stop talking|nobody asked|you bore me|whatever",
        -0.5,
    ),
    "sadness": (
        r"i(?:'m| am| feel) (?:so |very |really )?(?:sad|lonely|tired|lost|afraid|scared|heartbroken|miserable)|"
        r"(?:died|passed away|is dead|i miss)",
        -0.3,
    ),
}
_PATTERNS = {tone: (re.compile(rf"(?<![\w']){said}(?!\w)"), valence) for tone, (said, valence) in _SAID.items()}
_NEGATED = re.compile(r"(?:\bnot|n't|\bnever|\bno|\bhardly|\bwithout)\s+(?:\w+\s+){0,2}$")
_WITH_NEGATION: frozenset[Tone] = frozenset(("rejection", "threat", "apology", "thanks", "polite", "greeting"))
"""What a negation before it does not turn round."""
LOUD, QUIET = 0.5, -0.5
"""Arousal of a voice beyond which it is shouting, or whispering."""


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What one utterance does to its listener."""

    tones: frozenset[Tone]
    valence: float
    """-1 to 1: unpleasant to pleasant."""
    arousal: float
    """-1 to 1: of the voice and of the words."""


def appraise(text: str, voice_arousal: float | None = None) -> Appraisal:
    """`voice_arousal` as `Baseline.arousal` gives it; None for typed words, where capitals and marks tell it."""
    tones: dict[Tone, float] = dict(_tones(text))
    arousal = voice_arousal if voice_arousal is not None else _typed_arousal(text)
    if arousal > LOUD:
        tones["shouting"] = -0.2
    elif arousal < QUIET and voice_arousal is not None:
        tones["whispering"] = 0.0
    worst, best = min(tones.values(), default=0.0), max(tones.values(), default=0.0)
    valence = worst + best if worst > -0.5 else worst  # a threat that says please is a threat
    if "threat" in tones or "insult" in tones:
        arousal = max(arousal, 0.4)
    return Appraisal(frozenset(tones), max(-1.0, min(valence, 1.0)), max(-1.0, min(arousal, 1.0)))


def _tones(text: str) -> Iterator[tuple[Tone, float]]:
    plain = " ".join(text[:1000].lower().replace("’", "'").split())
    for sentence in re.split(r"[.!?;]\s*", plain):
        for tone, (pattern, valence) in _PATTERNS.items():
            match = pattern.search(sentence)
            if match is None:
                continue
            is_negated = bool(_NEGATED.search(sentence[: match.start()])) or bool(
                re.search(r"\b(?:not|never|no)\b|n't\b", match[0])
            )
            if is_negated and tone not in _WITH_NEGATION:
                if tone == "praise":
                    yield "insult", -0.4
            else:
                yield tone, valence


def _typed_arousal(text: str) -> float:
    letters = [letter for letter in text if letter.isalpha()]
    shout = len(letters) > 5 and sum(letter.isupper() for letter in letters) > 0.7 * len(letters)
    return min(1.0, 0.6 * shout + 0.15 * text.count("!"))
