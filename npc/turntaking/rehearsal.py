"""Turn-taking judged offline: how long a finished player waits, and how often an unfinished one is cut off.

The models run once a turn (`listen`): every pause of the voice is transcribed and heard
by smart-turn. `rehearse` then plays the turn in virtual time under any settings, with
evidence arriving as late as the models take, so that a curve over eagerness costs nothing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from npc.audio.framer import FRAME_SAMPLES
from npc.config import TurnTaking
from npc.stages import EndOfTurn, Recogniser, VoiceActivity
from npc.turn import HEARING_RATE_HZ
from npc.turntaking.detector import Paused, TurnDetector, TurnEnded, TurnStarted
from npc.turntaking.material import SpokenTurn
from npc.turntaking.policy import Evidence

_PER_MS: Final = HEARING_RATE_HZ // 1000
_FOREVER_MS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Delays:
    """How long after a pause was noticed each bit of evidence is there, on two busy cores.

    And how long after the words the reply can be heard: a turn that ended before that, and goes on before that, was
    not cut off.
    """

    asr_ms: float = 40.0
    asr_ms_per_s: float = 25.0
    smart_turn_ms: float = 80.0
    reply_ms: float = 200.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn as the models heard it: voice activity by frame, evidence by the last speech sample before each pause."""

    turn: SpokenTurn
    probabilities: tuple[float, ...]
    evidence: Mapping[int, Evidence]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`wait_ms` from the true last sample to the reply, where the player was let finish."""

    turn: SpokenTurn
    is_cut_off: bool
    wait_ms: float
    n_pauses: int
    """At each of which a reply was begun; all but the last in vain."""


@dataclass(frozen=True, slots=True)
class Score:
    n_turns: int
    cut_off: float
    """Share of the turns that were answered before they were over."""
    p50_ms: float
    p95_ms: float
    n_pauses_per_turn: float


async def listen(
    turn: SpokenTurn,
    vad: VoiceActivity,
    recogniser: Recogniser,
    smart_turn: EndOfTurn | None,
    settings: TurnTaking,
    around: Sequence[str] = (),
) -> Heard:
    """`around`: as in `Recogniser.transcribe`."""
    stream = vad.open()
    detector = TurnDetector(settings, lambda lull: _FOREVER_MS)
    probabilities: list[float] = []
    evidence: dict[int, Evidence] = {}
    for at in range(0, len(turn.audio) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        probabilities.append(await stream.push(turn.audio[at : at + FRAME_SAMPLES]))
        for event in detector.push(probabilities[-1], FRAME_SAMPLES):
            if isinstance(event, Paused):
                said = turn.audio[: event.at_sample]
                evidence[event.speech_end_sample] = Evidence(
                    transcript=(await recogniser.transcribe(said, is_final=True, around=around)).text,
                    smart_turn=None if smart_turn is None else await smart_turn.probability(said),
                    asked=turn.script.asked,
                )
    return Heard(turn, tuple(probabilities), evidence)


def rehearse(heard: Heard, settings: TurnTaking, delays: Delays = Delays()) -> Outcome:
    """Play the turn until its reply is heard."""
    turn = heard.turn
    detector = TurnDetector(settings)
    arriving: list[tuple[float, Evidence]] = []  # (when, in samples; all that is known then)
    n_pauses = 0
    ready_at, leaves_at = 0.0, math.inf
    for probability in heard.probabilities:
        if detector.n_heard >= leaves_at:
            break
        events = list(detector.push(probability, FRAME_SAMPLES))
        while arriving and arriving[0][0] <= detector.n_heard and detector.is_paused:
            events += detector.reconsider(arriving.pop(0)[1])
        for event in events:
            match event:
                case TurnStarted():
                    leaves_at = math.inf
                case Paused(at_sample=at, speech_end_sample=speech_end):
                    n_pauses += 1
                    arriving = _arriving(at, heard.evidence[speech_end], delays)
                    ready_at = at + (_asr_ms(at, delays) + delays.reply_ms) * _PER_MS
                    events += detector.reconsider(Evidence(asked=turn.script.asked))
                case TurnEnded():
                    leaves_at = max(detector.n_heard, ready_at)
    wait_ms = (leaves_at - turn.end_sample) / _PER_MS
    return Outcome(turn, wait_ms < 0, min(wait_ms, _FOREVER_MS), n_pauses)


def score(outcomes: Iterable[Outcome]) -> Score:
    played = list(outcomes)
    waits = [outcome.wait_ms for outcome in played if not outcome.is_cut_off]
    p50, p95 = np.percentile(waits, [50, 95]) if waits else (math.nan, math.nan)
    return Score(
        n_turns=len(played),
        cut_off=sum(outcome.is_cut_off for outcome in played) / len(played),
        p50_ms=float(p50),
        p95_ms=float(p95),
        n_pauses_per_turn=float(np.mean([outcome.n_pauses for outcome in played])),
    )


def curve(heard: Sequence[Heard], settings: TurnTaking, eagerness: Sequence[float]) -> list[tuple[float, Score]]:
    return [
        (value, score(rehearse(one, settings.model_copy(update={"eagerness": value})) for one in heard))
        for value in eagerness
    ]


def _arriving(at_sample: int, evidence: Evidence, delays: Delays) -> list[tuple[float, Evidence]]:
    """What is known when."""
    asr_ms = _asr_ms(at_sample, delays)
    smart_ms = delays.smart_turn_ms
    words = Evidence(transcript=evidence.transcript, asked=evidence.asked)
    sound = Evidence(smart_turn=evidence.smart_turn, asked=evidence.asked)
    if evidence.smart_turn is None:
        return [(at_sample + asr_ms * _PER_MS, words)]
    first = (asr_ms, words) if asr_ms < smart_ms else (smart_ms, sound)
    return [(at_sample + ms * _PER_MS, known) for ms, known in (first, (max(asr_ms, smart_ms), evidence))]


def _asr_ms(at_sample: int, delays: Delays) -> float:
    return delays.asr_ms + delays.asr_ms_per_s * at_sample / HEARING_RATE_HZ
