import json

import numpy as np
import pytest

from npc.errors import InputError
from npc.feeling import Heart, Rule, Temper
from npc.turn import HEARING_RATE_HZ, Samples

TEMPER = Temper(mood=10, rules=(Rule(action="give", outcome="refused", regard=-9),))


def voice(level: float) -> Samples:
    t = np.arange(2 * HEARING_RATE_HZ) / HEARING_RATE_HZ
    buzz = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 10))
    return (level * buzz * np.clip(np.sin(4 * np.pi * t) ** 2, 0.02, 1)).astype(np.float32)


def test_a_voice_that_is_raised_stirs_more_than_the_same_words_as_usual() -> None:
    heart = Heart.at_first(TEMPER)
    for n in range(4):
        heart, _ = heart.hears(TEMPER, "Where is the well?", voice(0.03), 10.0 * n)
    usual, _ = heart.hears(TEMPER, "Where is the well?", voice(0.03), 40)
    raised, stirred = heart.hears(TEMPER, "Where is the well?", voice(0.2), 40)
    assert stirred.appraisal.arousal > 0.3
    assert raised.feeling.arousal > usual.feeling.arousal + 1


def test_a_reply_that_is_thrown_away_leaves_no_trace() -> None:
    heart = Heart.at_first(TEMPER)
    after, _ = heart.hears(TEMPER, "You are a liar.", voice(0.1), 1)
    assert after.feeling.regard < 0
    assert heart == Heart.at_first(TEMPER)


def test_feelings_fade_between_turns() -> None:
    heart, _ = Heart.at_first(TEMPER).hears(TEMPER, "I'll kill you!", None, 0)
    assert heart.now(TEMPER, 0).mood < -10
    assert heart.now(TEMPER, 3600).mood == pytest.approx(10, abs=0.1)
    assert heart.now(TEMPER, 3600).regard < -10


def test_what_becomes_of_an_action_is_felt() -> None:
    assert Heart.at_first(TEMPER).learns(TEMPER, "give", "refused", 5).feeling.regard == pytest.approx(-9)


def test_silence_with_words_is_heard_as_plain_words() -> None:
    heart, stirred = Heart.at_first(TEMPER).hears(TEMPER, "GIVE IT TO ME NOW", np.zeros(100, np.float32), 0)
    assert "shouting" not in stirred.appraisal.tones
    assert heart.baseline.n == 0


def test_another_process_goes_on_with_it() -> None:
    heart, _ = Heart.at_first(TEMPER).hears(TEMPER, "Thank you!", voice(0.1), 1000)
    saved = json.loads(json.dumps(heart.to_json(1100)))
    there = Heart.from_json(saved, now_s=7, away_s=60)
    assert there.at_s == pytest.approx(7 - 160)
    assert (there.feeling, there.baseline) == (heart.feeling, heart.baseline)
    with pytest.raises(InputError, match="no heart"):
        Heart.from_json({"feeling": "warm"}, 0)
