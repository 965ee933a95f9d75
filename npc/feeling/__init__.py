"""How the player speaks, what that does to a character, and how the character then feels, looks and sounds."""

from npc.feeling.emotions import EMOTIONS, Mix, coloured, mix_of, valence_arousal
from npc.feeling.heart import Heart
from npc.feeling.mood import Feeling, Rule, Stirred, Temper, resting_mix, stir, told
from npc.feeling.prosody import Baseline, Prosody, measure
from npc.feeling.words import TONES, Appraisal, appraise

__all__ = [
    "EMOTIONS",
    "TONES",
    "Appraisal",
    "Baseline",
    "Feeling",
    "Heart",
    "Mix",
    "Prosody",
    "Rule",
    "Stirred",
    "Temper",
    "appraise",
    "coloured",
    "measure",
    "mix_of",
    "resting_mix",
    "stir",
    "told",
    "valence_arousal",
]
