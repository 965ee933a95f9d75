"""From chunks to events and utterances, and when each sample arrived."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from npc.config import Settings, TurnTaking
from npc.ear import Ear
from npc.errors import InputError
from npc.events import AudioInput, ReplyEnded, ReplyHushed, ServerEvent
from npc.frames import REPLY, AudioFrame, to_pcm
from npc.profile.room import EchoRoom
from npc.testing import (
    REPLY_RATE_HZ,
    Conversation,
    ScriptedRecogniser,
    ScriptedSpeech,
    ScriptedSynthesiser,
    ScriptedVoiceActivity,
    VirtualClock,
    scripted_engine,
    virtual_time,
)
from npc.turn import Samples, Speech, Transcript, Voice
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
    with pytest.raises(InputError, match=r"6 bytes .* multiple of 4"):
        ear.check(bytes(6))


# The character's own voice


class Hiss(ScriptedSynthesiser):
    """Speaks so that it can be heard."""

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[Speech, None]:
        async for part in super().speak(text, voice):
            noise = np.random.default_rng(len(text)).standard_normal(len(part.audio))
            yield replace(part, audio=(0.2 * noise).astype(np.float32))


class Understands(ScriptedRecogniser):
    """The same words in anything that is loud."""

    async def transcribe(self, audio: Samples, *, is_final: bool, around: Sequence[str] = ()) -> Transcript:
        await asyncio.sleep(0.05)
        text = "Stop that, please." if (np.abs(audio) > 0.1).sum() > 1600 else ""
        return Transcript(text, is_final, len(audio) / 16)


async def talk_in_a_room(settings: TurnTaking, *, speaks_over_it: bool) -> Conversation:
    """Ask, and be answered in a room that returns a fifth of what is played; then speak over the answer, or not."""
    speech = ScriptedSpeech()
    engine = scripted_engine(
        speech,
        ["One two three four five six seven eight nine ten eleven twelve."],
        settings=Settings(turn_taking=settings),
        recogniser=Understands(speech),
        synthesiser=Hiss(),
    )
    room = EchoRoom(REPLY_RATE_HZ, gain=0.2)
    async with Conversation(engine, "mira", reads=False) as talk:
        talk.session.next = noticed(talk.session.next, room)  # type: ignore[method-assign]  # the client's side of it
        reading = asyncio.create_task(talk._read())
        hearing = asyncio.create_task(room.run(lambda heard: talk.session.hear(to_pcm(heard)), VirtualClock()))
        room.speak(loud(800))
        await asyncio.sleep(2.5)
        if speaks_over_it:
            room.speak(loud(1000))
        await asyncio.sleep(4)
        hearing.cancel()
        await asyncio.wait({hearing})
        talk.session.close()
        await reading
    return talk


def noticed(take: Callable[[], Awaitable[ServerEvent | AudioFrame]], room: EchoRoom) -> Callable[[], Awaitable[Any]]:
    async def take_and_play() -> ServerEvent | AudioFrame:
        item = await take()
        room.notice(item)
        return item

    return take_and_play


FIXED = TurnTaking(judges_pauses=False)


@virtual_time
async def test_a_reply_that_comes_back_through_the_microphone_does_not_interrupt_itself() -> None:
    talk = await talk_in_a_room(FIXED, speaks_over_it=False)
    assert talk.the(ReplyEnded).reason == "done"
    assert talk.all(ReplyHushed) == []


@virtual_time
async def test_it_would_if_its_echo_were_not_removed() -> None:
    talk = await talk_in_a_room(FIXED.model_copy(update={"removes_echo": False}), speaks_over_it=False)
    assert talk.all(ReplyHushed) or talk.all(ReplyEnded)[0].reason == "interrupted"


@virtual_time
async def test_a_player_is_heard_over_the_echo_of_a_reply() -> None:
    talk = await talk_in_a_room(FIXED, speaks_over_it=True)
    assert talk.all(ReplyEnded)[0].reason == "interrupted"
    assert 2480 < talk.when(ReplyHushed) < 2480 + 350  # the chunk that is due next is spoken into


@virtual_time
async def test_a_key_pressed_after_a_reply_that_was_heard_with_the_microphone_shut_finds_no_echo() -> None:
    ear = Ear(AudioInput(), ScriptedVoiceActivity(), SETTINGS, 0, reply_rate_hz=16_000)
    await listen(ear, quiet(1000))
    hiss = (0.2 * np.random.default_rng(0).standard_normal(3 * 16_000)).astype(np.float32)
    ear.notice(AudioFrame(REPLY, 1, 0, to_pcm(hiss)), 0)
    async for _ in ear.hear(to_pcm(loud(20)), 6000):
        pass
    for chunk in range(50):
        async for _ in ear.hear(to_pcm(loud(20)), 6020 + 20 * chunk):
            pass
    assert np.abs(ear.utterance(16_000)[-8000:] - 0.2).max() < 1e-3


class Counted:
    """Notes how often something is run."""

    n_jobs = 0

    async def run(self, job: Callable[[], Any]) -> Any:
        self.n_jobs += 1
        return job()


@virtual_time
async def test_echo_is_taken_out_where_it_is_told_and_only_while_something_is_heard() -> None:
    cleaning = Counted()
    ear = Ear(AudioInput(), ScriptedVoiceActivity(), SETTINGS, 0, cleaning=cleaning)
    await listen(ear, quiet(2000))
    before, cleaning.n_jobs = cleaning.n_jobs, 0
    ear.notice(AudioFrame(REPLY, 1, 0, to_pcm(loud(320))), 2000)
    async for _ in ear.hear(to_pcm(quiet(640)), 2640):
        pass
    while_playing, cleaning.n_jobs = cleaning.n_jobs, 0
    async for _ in ear.hear(to_pcm(quiet(2000)), 4640):
        pass
    after = cleaning.n_jobs
    async for _ in ear.hear(to_pcm(quiet(2000)), 6640):
        pass
    assert before <= 2
    assert while_playing == 20
    assert cleaning.n_jobs == after < 62
