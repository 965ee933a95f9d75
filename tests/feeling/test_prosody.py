import numpy as np
import pytest

from npc.feeling import Baseline, measure
from npc.turn import HEARING_RATE_HZ, Samples


def voice(f0_hz: float = 120, level: float = 0.1, syllables_per_s: float = 4, seconds: float = 2.5) -> Samples:
    """A buzz in syllables: a voice for a machine."""
    t = np.arange(int(seconds * HEARING_RATE_HZ)) / HEARING_RATE_HZ
    buzz = sum(np.sin(2 * np.pi * f0_hz * k * t) / k for k in range(1, 12))
    envelope = np.clip(np.sin(np.pi * syllables_per_s * t) ** 2, 0.02, 1)
    return (level * buzz * envelope).astype(np.float32)


@pytest.mark.parametrize("f0_hz", [85, 120, 210, 320])
def test_pitch_is_measured_within_three_percent(f0_hz: float) -> None:
    heard = measure(voice(f0_hz))
    assert heard is not None
    assert heard.f0_hz == pytest.approx(f0_hz, rel=0.03)


@pytest.mark.parametrize("rate", [2, 4, 6])
def test_syllables_are_counted(rate: float) -> None:
    heard = measure(voice(syllables_per_s=rate))
    assert heard is not None
    assert heard.syllables_per_s == pytest.approx(rate, rel=0.4), "pauses do not count"


def test_silence_and_a_click_tell_nothing() -> None:
    assert measure(np.zeros(16_000, np.float32)) is None
    assert measure(voice(seconds=0.02)) is None


def test_a_voice_is_judged_by_how_this_player_usually_speaks() -> None:
    def after(*voices: Samples) -> Baseline:
        baseline = Baseline()
        for audio in voices:
            heard = measure(audio)
            assert heard is not None
            baseline = baseline.after(heard)
        return baseline

    quiet_man = after(*[voice(100, 0.03)] * 4)
    loud_woman = after(*[voice(240, 0.3, 5)] * 4)
    agitated = measure(voice(130, 0.12, 5))
    assert agitated is not None
    assert quiet_man.arousal(agitated) > 0.3
    assert loud_woman.arousal(agitated) < -0.3
    usual = measure(voice(100, 0.03))
    assert usual is not None
    assert abs(quiet_man.arousal(usual)) < 0.05
    assert Baseline().arousal(agitated) == 0, "the first utterance is usual"


def test_a_baseline_follows_slowly_and_keeps_its_pitch_where_nothing_is_voiced() -> None:
    heard = measure(voice(100, 0.03))
    assert heard is not None
    baseline = Baseline()
    for _ in range(20):
        baseline = baseline.after(heard)
    noise = measure(np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32))
    assert noise is not None
    assert noise.f0_hz == 0
    moved = baseline.after(noise)
    assert moved.pitch == baseline.pitch
    assert baseline.level_db < moved.level_db < baseline.level_db + 3
