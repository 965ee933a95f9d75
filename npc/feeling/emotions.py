"""Names of emotions, each a mix of a few plain ones, from which faces, voices and moods are made.

Writers name feelings as people do ("wistful", "gruff"); what can be shown of
them is a mix of eight. Where each lies in pleasure and arousal follows the
circumplex of Russell (1980) and the norms of Warriner et al. (2013), rounded.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from npc.errors import ConfigError
from npc.tts.voices import VOICES, timbre_of
from npc.turn import Voice

Mix = Mapping[str, float]
"""Shares of the plain emotions, 0 to 1 each."""

PLAIN: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "joy": (0.8, 0.4),
        "sad": (-0.7, -0.5),
        "anger": (-0.6, 0.8),
        "fear": (-0.7, 0.7),
        "disgust": (-0.6, 0.3),
        "surprise": (0.2, 0.8),
        "interest": (0.3, 0.3),
        "calm": (0.4, -0.6),
    }
)
"""(valence, arousal) of each, -1 to 1."""


def _words(mix: Mix, names: str) -> dict[str, Mix]:
    return {name: MappingProxyType(dict(mix)) for name in names.split()}


EMOTIONS: Mapping[str, Mix] = MappingProxyType(
    {"neutral": MappingProxyType({})}
    | _words({"joy": 1.0}, "joy happy glad joyful delighted merry cheerful jolly")
    | _words({"joy": 0.6, "calm": 0.4}, "warm fond loving tender kind friendly affectionate grateful welcoming")
    | _words({"joy": 0.5, "surprise": 0.1}, "amused playful teasing mischievous wry joking")
    | _words({"joy": 0.8, "surprise": 0.4}, "excited thrilled eager enthusiastic lively bright bubbly")
    | _words({"joy": 0.4, "calm": 0.3}, "proud content pleased satisfied smug confident hopeful relieved")
    | _words({"calm": 1.0}, "calm serene peaceful gentle patient relaxed steady soft soothing")
    | _words({"calm": 0.5, "sad": 0.2}, "tired weary sleepy bored dreamy")
    | _words({"interest": 1.0}, "interest interested curious attentive thoughtful intent focused inquisitive")
    | _words({"interest": 0.5, "calm": 0.3}, "serious earnest solemn formal determined thinking")
    | _words({"surprise": 1.0}, "surprise surprised astonished amazed startled shocked")
    | _words({"surprise": 0.4, "interest": 0.5}, "confused puzzled baffled impressed awed")
    | _words({"sad": 1.0}, "sad sorrowful miserable grieving mournful heartbroken gloomy unhappy")
    | _words({"sad": 0.5, "calm": 0.3}, "wistful melancholy lonely nostalgic homesick longing pensive")
    | _words({"sad": 0.6, "fear": 0.3}, "ashamed guilty sorry embarrassed shy hurt humble")
    | _words({"sad": 0.4, "anger": 0.2}, "disappointed bitter resentful jealous sulky")
    | _words({"anger": 1.0}, "anger angry furious enraged hostile outraged fierce")
    | _words({"anger": 0.5}, "gruff annoyed irritated grumpy stern bossy impatient cross cold defiant")
    | _words({"anger": 0.3, "interest": 0.4}, "wary suspicious sceptical skeptical doubtful guarded distrustful")
    | _words({"fear": 1.0}, "fear afraid scared frightened terrified panicked")
    | _words({"fear": 0.5, "sad": 0.2}, "worried anxious nervous uneasy tense concerned troubled desperate")
    | _words({"disgust": 1.0}, "disgust disgusted revolted repulsed")
    | _words({"disgust": 0.4, "anger": 0.3}, "scornful contemptuous disdainful mocking sarcastic haughty")
)


def mix_of(name: str, own: Mapping[str, Mix] = MappingProxyType({})) -> Mix:
    """What `name` is made of; `own` are a character's. Raises KeyError for a name that is in neither."""
    return own[name] if name in own else EMOTIONS[name]


def blended(likeness: Mapping[str, float]) -> Mix:
    """A mix of known emotions, by their shares; none of the plain ones goes beyond 1."""
    mix: dict[str, float] = {}
    for name, share in likeness.items():
        for plain, amount in EMOTIONS[name].items():
            mix[plain] = min(mix.get(plain, 0.0) + share * amount, 1.0)
    return mix


def valence_arousal(mix: Mix) -> tuple[float, float]:
    """Where a mix lies, -1 to 1 each: the sum of its parts, kept within."""
    valence = sum(share * PLAIN[plain][0] for plain, share in mix.items())
    arousal = sum(share * PLAIN[plain][1] for plain, share in mix.items())
    return max(-1.0, min(valence, 1.0)), max(-1.0, min(arousal, 1.0))


def coloured(voice: Voice, mix: Mix, strength: float = 1.0) -> Voice:
    """The voice in that emotion: aroused speech is quicker and higher, low spirits are slower and lower.

    Changes are a few percent; a voice that is at the end of what it bears stays as it is. (Directions after Juslin and
    Laukka, 2003.)
    """
    valence, arousal = valence_arousal(mix)
    speed = 1 + strength * (0.08 * arousal + 0.02 * valence)
    pitch = 1 + strength * (0.05 * arousal + 0.02 * valence)
    moved = replace(voice, speed=round(voice.speed * speed, 4), pitch=round(voice.pitch * pitch, 4))
    if moved.name in VOICES:
        try:
            timbre_of(moved)
        except ConfigError:
            return voice
    return moved
