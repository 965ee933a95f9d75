"""Barge-in judged offline: what is counted, on a scripted ear, and what the sounds beside a reply are."""

import numpy as np
import pytest

from npc.config import TurnTaking
from npc.profile.overlaps import Hush, Overheard, Talk, false_hushes, summary
from npc.profile.sounds import SOUNDS, room_noise
from npc.testing import ScriptedVoiceActivity, silence
from npc.turn import Samples

RATE_HZ = 24_000
SETTINGS = TurnTaking()


def talk() -> Talk:
    return Talk(ScriptedVoiceActivity(), SETTINGS, RATE_HZ, gain=0.0, delay_ms=100)


def reply(seconds: float = 2.0) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE_HZ))).astype(np.float32)


def loud(duration_ms: int) -> Samples:
    return np.full(16 * duration_ms, 0.2, np.float32)


async def test_a_voice_is_counted_from_its_first_sample() -> None:
    sound = np.concatenate((silence(500), loud(1000)))
    heard = await talk().play(reply(), sound, voice_at=8000)
    assert heard.silent_ms is not None
    assert 0 < heard.silent_ms <= 32 + 2 * 20
    assert heard.false_hushes == ()
    assert not heard.was_silent


async def test_what_nobody_said_is_counted_with_its_length() -> None:
    heard = await talk().play(reply(), np.concatenate((silence(500), loud(20), silence(1000))))
    assert heard.silent_ms is None
    [hush] = heard.false_hushes
    assert 500 <= hush.start_ms <= 600
    assert 100 <= hush.end_ms - hush.start_ms <= 160


async def test_a_quiet_room_hushes_nobody_in_one_reply_after_another() -> None:
    ear = talk()
    heard = [await ear.play(reply(), silence(1500)) for _ in range(3)]
    assert all(not one.hushes for one in heard)
    assert false_hushes(heard) == {"n": 3, "n_hushed": 0, "a_minute": 0.0, "p50_ms": 0.0, "share_percent": 0.0}


def test_a_reply_that_was_silent_before_is_not_one_that_heard_the_player() -> None:
    silent = Overheard(2000, 1000, (Hush(900, 2000),))
    assert silent.was_silent
    assert silent.silent_ms is None
    figures = summary([silent, Overheard(2000, 1000, (Hush(1100, 2000),)), Overheard(2000, 1000, (Hush(1300, 2000),))])
    assert (figures["n"], figures["heard_percent"], figures["n_silent_before"]) == (3, 66.7, 1)
    assert figures["p50_ms"] == 200
    assert figures["late_percent"] == 66.7


def test_a_hush_that_was_over_before_anybody_spoke_does_not_hide_that_they_were_heard() -> None:
    heard = Overheard(2000, 1000, (Hush(300, 430), Hush(1080, 2000)))
    assert heard.silent_ms == 80
    assert heard.false_hushes == (Hush(300, 430),)


def test_nobody_counts_as_heard_after_a_second() -> None:
    assert Overheard(5000, 1000, (Hush(2500, 5000),)).silent_ms is None
    assert summary([Overheard(5000, 1000, ())])["late_percent"] == 100


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_are_as_long_and_as_loud_as_they_say_and_alike_each_time(name: str) -> None:
    made, again = (SOUNDS[name](4.0, np.random.default_rng(1)) for _ in range(2))
    assert made.shape == (64_000,)
    assert np.abs(made).max() == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(made, again)


def test_the_noise_of_a_room_has_the_power_that_is_asked_for_and_most_of_it_low() -> None:
    noise = room_noise(64_000, np.random.default_rng(0))
    assert np.mean(np.square(noise)) == pytest.approx(1, rel=0.01)
    power = np.square(np.abs(np.fft.rfft(noise)))
    assert power[: len(power) // 8].sum() > power[len(power) // 2 :].sum()
