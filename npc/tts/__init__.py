"""Speech: text → clauses → audio with the time of every word and phoneme.

`load_synthesiser` loads what the settings name; the engines are imported only then.
"""

from typing import TYPE_CHECKING

from npc.tts.clauses import ClauseSplitter
from npc.tts.voices import VOICES, timbre_of

if TYPE_CHECKING:
    from npc.config import Speaking
    from npc.tts.coqui import CoquiSynthesiser
    from npc.tts.hibari import HibariSynthesiser

__all__ = ["VOICES", "ClauseSplitter", "load_synthesiser", "timbre_of"]


def load_synthesiser(settings: "Speaking") -> "HibariSynthesiser | CoquiSynthesiser":
    """The synthesiser that `settings.engine` names. Raises ConfigError or ModelError when it cannot be had."""
    if settings.engine == "coqui":
        from npc.tts.coqui import CoquiSynthesiser

        return CoquiSynthesiser.load(settings)
    from npc.tts.hibari import HibariSynthesiser

    return HibariSynthesiser.load(settings)
