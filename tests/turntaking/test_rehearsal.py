"""Turns in virtual time: what a wait costs and what it spares, on scripted turns and through the real models."""

import math

import numpy as np
import pytest

from npc.asr.whisper import WhisperRecogniser
from npc.config import Recognition, Speaking, TurnTaking
from npc.models import ModelStore
from npc.tts.hibari import HibariSynthesiser
from npc.turntaking import Evidence
from npc.turntaking.material import Pause, Script, SpokenTurn, scripts, with_hibari
from npc.turntaking.rehearsal import Delays, Heard, curve, listen, rehearse, score
from npc.turntaking.smart_turn import SmartTurn
from npc.turntaking.vad import SileroVoiceActivity

FRAME = 512
LAG = 48 * 16


def turn(first: Evidence, pause_frames: int, last: Evidence) -> Heard:
    """A second of speech, a pause, another second, silence."""
    probabilities = [0.9] * 31 + [0.02] * pause_frames + [0.9] * 31 + [0.02] * 70
    pause_at, end = 31 * FRAME, (62 + pause_frames) * FRAME
    spoken = SpokenTurn(
        "scripted",
        Script("", ("I'd like to buy", "a sword."), ("mid-clause",)),
        np.zeros(len(probabilities) * FRAME, np.float32),
        end - LAG,
        (Pause(pause_at, pause_at + pause_frames * FRAME, "mid-clause"),),
    )
    return Heard(spoken, tuple(probabilities), {pause_at - LAG: first, end - LAG: last})


UNFINISHED, WHOLE = Evidence("I'd like to buy"), Evidence("How much is the long sword by the door?")


def test_a_pause_after_unfinished_words_is_waited_out() -> None:
    outcome = rehearse(turn(UNFINISHED, 20, WHOLE), TurnTaking())
    assert not outcome.is_cut_off
    assert outcome.n_pauses == 2
    assert 0 < outcome.wait_ms < 400


def test_a_pause_after_words_that_seem_whole_is_not() -> None:
    outcome = rehearse(turn(WHOLE, 20, WHOLE), TurnTaking())
    assert outcome.is_cut_off
    assert outcome.wait_ms < 0


def test_evidence_counts_from_when_it_is_there() -> None:
    quick, slow = (
        rehearse(turn(UNFINISHED, 3, WHOLE), TurnTaking(eagerness=1), Delays(asr_ms=ms, asr_ms_per_s=0)).wait_ms
        for ms in (20, 300)
    )
    assert slow - quick == pytest.approx(280, abs=33)


def test_the_score_counts_waits_only_of_those_who_could_finish() -> None:
    outcomes = [rehearse(turn(first, 20, WHOLE), TurnTaking()) for first in (UNFINISHED, WHOLE, WHOLE, UNFINISHED)]
    result = score(outcomes)
    assert (result.n_turns, result.cut_off) == (4, 0.5)
    assert result.p50_ms == outcomes[0].wait_ms


def test_nobody_who_could_finish_has_no_waits_to_report() -> None:
    assert math.isnan(score([rehearse(turn(WHOLE, 20, WHOLE), TurnTaking())]).p50_ms)


@pytest.mark.real
async def test_judging_a_pause_beats_every_fixed_wait(models: ModelStore) -> None:
    vad = SileroVoiceActivity.load(models.ensure("silero-vad"))
    recogniser = WhisperRecogniser.load(models.ensure("whisper-tiny.en"), Recognition())
    smart_turn = SmartTurn.load(models.ensure("smart-turn-v3"))
    turns = with_hibari(scripts("judging"), HibariSynthesiser.load(Speaking()), seed=3)
    heard = [await listen(each, vad, recogniser, smart_turn, TurnTaking()) async for each in turns]
    for model in (vad, recogniser, smart_turn):
        model.close()
    assert len(heard) > 30
    judged = [point for _, point in curve(heard, TurnTaking(), [1.0, 0.75, 0.5, 0.25])]
    assert [point.p50_ms for point in judged] == sorted(point.p50_ms for point in judged)
    for point in judged[1:]:
        fixed = [
            score(rehearse(each, TurnTaking(min_endpoint_ms=ms, max_endpoint_ms=ms)) for each in heard)
            for ms in range(100, 1300, 100)
        ]
        as_quick = min(fixed, key=lambda wait: abs(wait.p50_ms - point.p50_ms))
        assert point.cut_off <= as_quick.cut_off
    assert judged[2].cut_off < 0.3
    assert judged[2].p50_ms < 600
