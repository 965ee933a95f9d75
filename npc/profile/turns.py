"""Spoken turns with pauses inside, as they went: what `npc profile turns` prints, draws and writes as JSON.

Voice to voice counts from the true last sample that was spoken to the first sample of the
reply that can be heard. A turn is cut off when any of the reply arrived before that last
sample, and missed when none came behind it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from npc.events import TurnMetrics
from npc.profile.report import MeasuredTurn, percentiles, summarise
from npc.turn import Samples

AUDIBLE: Final = 0.005
"""Of full scale, -46 dB."""


@dataclass(frozen=True, slots=True)
class PlayedTurn:
    """`voice_to_voice_ms` is None where the turn was cut off or missed."""

    group: str
    """Whose voice it was."""
    noise_db: float
    """The noise beside the voice."""
    words: str
    n_pauses: int
    is_cut_off: bool = False
    transcript: str = ""
    arrived_ms: float | None = None
    """From the last sample that was spoken until the first of the reply's audio was there."""
    voice_to_voice_ms: float | None = None
    metrics: TurnMetrics | None = None
    errors: tuple[str, ...] = ()
    """The codes of what the server could not do."""

    @property
    def is_missed(self) -> bool:
        return not self.is_cut_off and self.voice_to_voice_ms is None


def audible_ms(arrivals: Sequence[tuple[float, Samples]], rate_hz: int) -> float | None:
    """When the first audible sample is played of parts [n] that `arrivals` lists with the time of each, in order.

    Playback begins with the first part and stands still where it runs dry. None where all of it is silence.
    """
    plays_at_ms = -float("inf")
    for at_ms, part in arrivals:
        plays_at_ms = max(plays_at_ms, at_ms)
        loud = np.abs(part) > AUDIBLE
        if loud.any():
            return plays_at_ms + int(loud.argmax()) * 1e3 / rate_hz
        plays_at_ms += len(part) * 1e3 / rate_hz
    return None


def summarise_turns(turns: Sequence[PlayedTurn]) -> dict[str, Any]:  # JSON
    """Figures over turns under one setting."""
    answered = [turn for turn in turns if turn.voice_to_voice_ms is not None]
    voiced = [turn.voice_to_voice_ms for turn in turns if turn.voice_to_voice_ms is not None]
    silent = [
        turn.voice_to_voice_ms - turn.arrived_ms
        for turn in answered
        if turn.voice_to_voice_ms is not None and turn.arrived_ms is not None
    ]
    measured = [MeasuredTurn(turn.metrics, turn.arrived_ms or 0.0) for turn in answered if turn.metrics is not None]
    n_cut_off = sum(turn.is_cut_off for turn in turns)
    return {
        "n_turns": len(turns),
        "n_with_pauses": sum(turn.n_pauses > 0 for turn in turns),
        "voice_to_voice_ms": percentiles(voiced) if voiced else None,
        "n_cut_off": n_cut_off,
        "cut_off_percent": round(100 * n_cut_off / len(turns), 1) if turns else None,
        "n_missed": sum(turn.is_missed for turn in turns),
        "errors": dict(Counter(code for turn in turns for code in turn.errors)),
        "silence_before_voice_ms": percentiles(silent) if silent else None,
        "speculation": _speculation([turn.metrics for turn in answered if turn.metrics is not None]),
        "turns": [_told(turn) for turn in turns],
        "by_group": _grouped((turn.group.split()[0], turn) for turn in turns),
        "by_noise": _grouped((f"{turn.noise_db:g} dB", turn) for turn in turns),
    } | {key: value for key, value in summarise(measured).items() if key in ("stages_ms", "ended_ms")}


def median_turn(turns: Iterable[PlayedTurn]) -> PlayedTurn | None:
    """The one in the middle, of those that tell where their time went."""
    told = sorted((t.voice_to_voice_ms, i, t) for i, t in enumerate(turns) if t.voice_to_voice_ms and t.metrics)
    return told[len(told) // 2][2] if told else None


def critical_path(turn: PlayedTurn) -> list[tuple[str, float]]:
    """What the player waited for, stage by stage, in milliseconds; their sum is the turn's voice to voice.

    Of the stages that ran side by side, those that the first audio had to wait for: the making of the reply, or the
    wait for the end of the turn where the reply was ready before that.
    """
    if turn.metrics is None or turn.voice_to_voice_ms is None:
        return []
    ends = {span.name: span.end_ms for span in turn.metrics.spans}
    steps: list[tuple[str, float]] = []
    reached_ms = 0.0
    is_ready_first = ends.get("tts", 0.0) <= ends.get("endpoint", 0.0)
    for name in ("endpoint",) if is_ready_first else ("vad", *_MAKING):
        if name in ends and ends[name] > reached_ms:
            steps.append((name, ends[name] - reached_ms))
            reached_ms = ends[name]
    arrived_ms = reached_ms if turn.arrived_ms is None else turn.arrived_ms
    if reached_ms > arrived_ms and steps:  # the server knows the last sample to a frame only, and began too soon
        steps[0] = (steps[0][0], steps[0][1] - (reached_ms - arrived_ms))
    steps.append(("audio_out", max(arrived_ms - reached_ms, 0.0)))
    steps.append(("silence", turn.voice_to_voice_ms - arrived_ms))
    return [(name, round(ms, 1)) for name, ms in steps]


_MAKING: Final = ("asr", "retrieve", "prefill", "first_token", "first_clause", "tts")


def _speculation(metrics: Sequence[TurnMetrics]) -> dict[str, Any] | None:  # JSON
    """`turns_percent` of the turns were speculated on; `hit_percent` of the replies begun ahead were given."""
    told = [each.speculation for each in metrics if each.speculation is not None]
    if not told:
        return None
    n_begun, n_hits = sum(each.n_begun for each in told), sum(each.is_hit for each in told)
    return {
        "turns_percent": round(100 * sum(each.n_begun > 0 for each in told) / len(told), 1),
        "n_hits": n_hits,
        "n_misses": n_begun - n_hits,
        "hit_percent": round(100 * n_hits / n_begun, 1) if n_begun else None,
        "saved_ms": percentiles([each.saved_ms for each in told]),
        "tokens_thrown_away_per_turn": round(sum(each.n_tokens_thrown_away for each in told) / len(told), 1),
        "audio_ms_thrown_away_per_turn": round(sum(each.audio_ms_thrown_away for each in told) / len(told)),
    }


def _told(turn: PlayedTurn) -> dict[str, Any]:  # JSON
    spans = () if turn.metrics is None else turn.metrics.spans
    return {
        "voice": turn.group,
        "words": turn.words,
        "understood": turn.transcript,
        "n_pauses": turn.n_pauses,
        "is_cut_off": turn.is_cut_off,
        "voice_to_voice_ms": None if turn.voice_to_voice_ms is None else round(turn.voice_to_voice_ms, 1),
        "spans": {span.name: [span.start_ms, span.end_ms, dict(span.attributes)] for span in spans},
    }


def _grouped(turns: Iterable[tuple[str, PlayedTurn]]) -> Mapping[str, Any]:  # JSON
    groups: dict[str, list[PlayedTurn]] = {}
    for name, turn in turns:
        groups.setdefault(name, []).append(turn)
    found = {}
    for name, members in sorted(groups.items()):
        voiced = [turn.voice_to_voice_ms for turn in members if turn.voice_to_voice_ms is not None]
        found[name] = {
            "n_turns": len(members),
            "n_cut_off": sum(turn.is_cut_off for turn in members),
            "n_missed": sum(turn.is_missed for turn in members),
            "p50_ms": round(float(np.median(voiced)), 1) if voiced else None,
        }
    return found
