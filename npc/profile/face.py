"""What a face costs, and whether its lips meet when the audio's do: on real speech of the built-in synthesiser."""

import asyncio
import statistics
from collections.abc import Sequence
from typing import Any

from npc.face import Face, viseme_keys
from npc.face.closure import Closure, closures
from npc.face.lips import NONE_HEARD, heard_closures
from npc.profile.actions import median_ms
from npc.stages import Synthesiser
from npc.turn import Speech, Voice

Report = dict[str, Any]  # JSON

SENTENCES = (
    "My mother sold apples and pumpkins by the bridge every morning.",
    "A box of amber beads came by boat from the harbour last month.",
    "Remember the number on the wooden box, and open it before supper.",
    "The rabbit jumped over a bubbling stream and became a shepherd.",
    "Nobody stopped the happy baker from climbing up the bamboo ladder.",
    "He put a copper penny in the paper cup beside my empty table.",
    "Tomorrow the carpenter will repair a broken chamber and the lamp above it.",
    "I suppose a camel is able to carry ample bags of pepper upon it.",
    "The family gave up the farm and became weavers in a village below.",
    "Maybe the company of robbers is hiding among a heap of timber.",
    "A humble problem may become a major trouble before you are a member.",
    "Please compare a copy of the map to the memory of an old shopkeeper.",
)
VOICES = ("heart", "gruff", "deep", "bright", "elder")


def run_face_profile(synthesiser: Synthesiser, sentences: Sequence[str] = SENTENCES, n_rounds: int = 50) -> Report:
    """`clause_ms` and `keys_ms` for the longest sentence; how far lips and audio are apart, in ms, over all voices."""
    speech = asyncio.run(_speak(synthesiser, sentences))
    longest = max(speech, key=lambda clause: len(clause.audio))
    face = Face(synthesiser.rate_hz)
    face.feel("joy", 0.5, 0)
    by_ear = [closure for clause in speech for closure in closures(clause, heard_closures(clause))]
    by_times = [closure for clause in speech for closure in closures(clause, NONE_HEARD)]
    return {
        "clause_s": round(len(longest.audio) / longest.rate_hz, 2),
        "clause_ms": median_ms(lambda: face.clause(longest, 0), n_rounds),
        "keys_ms": median_ms(lambda: viseme_keys(longest), n_rounds),
        "closures": closure_report(by_ear),
        "closures_by_phoneme_times_alone": closure_report(by_times),
    }


def closure_report(found: Sequence[Closure]) -> Report:
    off = sorted(abs(closure.off_ms) for closure in found)
    return {
        "n": len(off),
        "mean_off_ms": round(statistics.fmean(closure.off_ms for closure in found), 1),
        "median_ms": round(statistics.median(off), 1),
        "p95_ms": round(off[int(0.95 * len(off))], 1),
        "within_20_ms": round(sum(ms <= 20 for ms in off) / len(off), 3),
        "overlapping": round(sum(closure.overlaps for closure in found) / len(found), 3),
    }


async def _speak(synthesiser: Synthesiser, sentences: Sequence[str]) -> list[Speech]:
    return [
        part for voice in VOICES for sentence in sentences async for part in synthesiser.speak(sentence, Voice(voice))
    ]
