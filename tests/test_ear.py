"""From chunks to events and utterances, and when each sample arrived."""

import numpy as np
import pytest

from npc.config import TurnTaking
from npc.ear import Ear
from npc.errors import InputError
from npc.events import AudioInput
from npc.frames import to_pcm
from npc.testing import ScriptedVoiceActivity, virtual_time
from npc.turn import Samples
from npc.turntaking import DetectorEvent, Paused, TurnEnded, TurnStarted

SETTINGS = TurnTaking(preroll_ms=100)


def loud(duration_ms: int, rate_hz: int = 16_000) -> Samples:
    return np.full(duration_ms * rate_hz // 1000, 0.2, np.float32)


def quiet(duration_ms: int, rate_hz: int = 16_000) -> Samples:
    return np.zeros(duration_ms * rate_hz // 1000, np.float32)


async def listen(ear: Ear, audio: Samples, rate_hz: int = 16_000, frame_ms: int = 20) -> list[DetectorEvent]:
    """Play `audio`, which ends to arrive at its own length."""
    events: list[DetectorEvent] = []
    step = rate_hz * frame_ms // 1000
    for offset in range(0, len(audio), step):
        part = audio[offset : offset + step]
        async for found in ear.hear(to_pcm(part), (offset + len(part)) * 1000 / rate_hz):
            events += found
    return events


@virtual_time
async def test_an_utterance_is_cut_with_what_came_shortly_before() -> None:
    ear = Ear(AudioInput(), ScriptedVoiceActivity(), SETTINGS, 0)
    events = await listen(ear, np.concatenate([quiet(1000), loud(500), quiet(150)]))
    started = next(event for event in events if isinstance(event, TurnStarted))
    utterance = ear.utterance(started.speech_start_sample)
    n_before = int(np.argmax(utterance > 0.1))
    assert 16 * 68 <= n_before <= 16 * 100, "the preroll, less what the first frame holds of the silence"
    assert (utterance > 0.1).sum() == 16 * 500


@virtual_time
async def test_speech_that_comes_with_the_first_sample_gets_silence_before_it() -> None:
    ear = Ear(AudioInput(), ScriptedVoiceActivity(), SETTINGS, 0)
    [started, *_] = await listen(ear, loud(500))
    assert isinstance(started, TurnStarted)
    utterance = ear.utterance(started.speech_start_sample)
    assert np.argmax(utterance > 0.1) == 16 * 100


@virtual_time
async def test_the_arrival_of_a_sample_is_known_within_a_chunk() -> None:
    ear = Ear(AudioInput(), ScriptedVoiceActivity(), SETTINGS, 0)
    await listen(ear, loud(1000), frame_ms=100)
    for sample in (1, 8_000, 15_999):
        assert ear.arrival_ms(sample) == pytest.approx(sample / 16, abs=0.1)


@virtual_time
async def test_a_wide_stereo_microphone_is_heard_like_a_plain_one() -> None:
    ear = Ear(AudioInput(rate_hz=48_000, channels=2), ScriptedVoiceActivity(), SETTINGS, 0)
    mono = np.concatenate([loud(600, 48_000), quiet(600, 48_000)])
    events = await listen(ear, np.repeat(mono, 2), rate_hz=96_000)
    assert [type(event) for event in events] == [TurnStarted, Paused, TurnEnded]


@virtual_time
async def test_what_was_heard_long_ago_is_forgotten_unless_it_is_kept() -> None:
    ear = Ear(AudioInput(), ScriptedVoiceActivity(), SETTINGS, 0)
    await listen(ear, quiet(5000))
    assert len(ear.utterance(0)) < 16 * 1000
    ear.keep()
    await listen(ear, quiet(5000))
    assert len(ear.utterance(5 * 16_000)) >= 16 * 5000


def test_half_a_sample_is_named_with_what_would_be_right() -> None:
    ear = Ear(AudioInput(channels=2), ScriptedVoiceActivity(), SETTINGS, 0)
    with pytest.raises(InputError, match="6 bytes .* multiple of 4"):
        ear.check(bytes(6))
