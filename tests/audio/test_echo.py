"""The character's own voice, back through the microphone: simulated rooms, several levels, people who speak over it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest

from npc.asr.material import SENTENCES, is_installed, spoken
from npc.audio import FRAME_SAMPLES, resample
from npc.audio.echo import N_PARTS, OWN, Cleaned, EchoGuard
from npc.config import Speaking, TurnTaking
from npc.errors import InputError
from npc.models import ModelStore
from npc.tts.hibari import HibariSynthesiser
from npc.turn import Samples, Voice
from npc.turntaking import Onset
from npc.turntaking.vad import SileroVoiceActivity
from npc.worker import Worker

REPLY_HZ = 24_000
NOISE = 1e-3


@dataclass(frozen=True)
class Room:
    """Network, client and air take `delay_ms`, give or take `jitter_ms` a reply; half of the sound is reverberation."""

    delay_ms: float
    jitter_ms: float = 5.0
    reverberation_s: float = 0.25

    def echo(self, played: Samples, power: float, chance: np.random.Generator) -> Samples:
        """`played` [n] at 16 kHz as the microphone hears it, at `power`."""
        n = int(self.reverberation_s * 16_000)
        tail = np.random.default_rng(1).standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
        response = tail / np.linalg.norm(tail)
        response[0] = 1.0
        delay = int(16 * (self.delay_ms + chance.uniform(-self.jitter_ms, self.jitter_ms)))
        heard = np.concatenate((np.zeros(delay), np.convolve(played, response)))
        return (heard * np.sqrt(power / np.mean(np.square(heard)))).astype(np.float32)


def frames(microphone: Samples) -> list[Samples]:
    return list(microphone[: len(microphone) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES))


def hiss(n: int, level: float = 0.1, seed: int = 0) -> Samples:
    return (level * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def clean_all(guard: EchoGuard, microphone: Samples, start: int = 0) -> list[Cleaned]:
    return [guard.clean(frame, start + i * FRAME_SAMPLES) for i, frame in enumerate(frames(microphone))]


def power_of(samples: Samples) -> float:
    return float(np.mean(np.square(samples)))


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12))


def test_nothing_is_touched_while_nothing_plays() -> None:
    microphone = hiss(10 * FRAME_SAMPLES)
    cleaned = clean_all(EchoGuard(), microphone)
    assert all(one.is_own for one in cleaned)
    np.testing.assert_array_equal(np.concatenate([one.samples for one in cleaned]), microphone)


@pytest.mark.parametrize("delay_ms", [0, 40, 200, 400])
def test_an_echo_of_any_delay_is_taken_out(delay_ms: float) -> None:
    played = hiss(4 * 16_000)
    microphone = Room(delay_ms).echo(played, 0.01 * 10**-1, np.random.default_rng(0))[: len(played)]
    guard = EchoGuard()
    guard.play(played, 16_000, 0)
    cleaned = clean_all(guard, microphone)
    last_second = np.concatenate([one.samples for one in cleaned[-31:]])
    assert level_db(last_second) < level_db(microphone[-16_000:]) - 20
    assert not any(one.is_own for one in cleaned[-31:])


def test_somebody_who_is_louder_than_the_echo_comes_through() -> None:
    played, voice = hiss(4 * 16_000), hiss(16_000, seed=1)
    microphone = Room(100).echo(played, 0.01 * 10**-2, np.random.default_rng(0))[: len(played)]
    microphone[-16_000:] += voice
    guard = EchoGuard()
    guard.play(played, 16_000, 0)
    cleaned = clean_all(guard, microphone)[-30:]
    kept = np.concatenate([one.samples for one in cleaned])
    assert all(one.is_own for one in cleaned[4:])
    assert np.corrcoef(kept, voice[-len(kept) :])[0, 1] > 0.95


def test_playing_in_parts_at_another_rate_is_playing_at_once() -> None:
    reply = hiss(2 * REPLY_HZ)
    microphone = Room(50).echo(resample(reply, REPLY_HZ, 16_000), 0.001, np.random.default_rng(0))
    at_once, in_parts = EchoGuard(), EchoGuard()
    at_once.play(reply, REPLY_HZ, 0)
    for part in np.array_split(reply, 17):
        in_parts.play(part, REPLY_HZ, 0)
    for one, other in zip(clean_all(at_once, microphone), clean_all(in_parts, microphone), strict=True):
        np.testing.assert_allclose(one.samples, other.samples, atol=1e-6)


def test_a_room_that_returns_nothing_is_known_before_the_first_sentence_is_over() -> None:
    played = hiss(2 * 16_000)
    microphone = hiss(len(played), 1e-3, seed=3)
    microphone[16_000:] += hiss(16_000, 0.05, seed=4)  # somebody 6 dB below what is played
    guard = EchoGuard()
    guard.play(played, 16_000, 0)
    cleaned = clean_all(guard, microphone)
    assert all(one.is_own for one in cleaned[16_000 // FRAME_SAMPLES + 4 :])


def test_a_loud_echo_that_comes_late_is_not_taken_for_somebody() -> None:
    played = hiss(2 * 16_000)
    microphone = Room(500).echo(played, 0.01 * 10**-1.5, np.random.default_rng(0))[: len(played)]
    guard = EchoGuard()
    guard.play(played, 16_000, 0)
    cleaned = clean_all(guard, microphone + hiss(len(played), 1e-3))
    assert not any(one.is_own for one in cleaned[500 * 16 // FRAME_SAMPLES :])


def test_what_a_client_drops_when_it_is_hushed_says_nothing_of_the_room() -> None:
    played, gain = hiss(6 * 16_000), 10**-0.5
    echo = Room(180, jitter_ms=0).echo(played, 0.01 * gain**2, np.random.default_rng(0))[: len(played)]
    microphone = echo + hiss(len(played), 1e-3)
    quiet = hiss(2 * 16_000, 1e-3)
    guard = EchoGuard()
    guard.play(played, 16_000, 0)
    half = 3 * 16_000 // FRAME_SAMPLES * FRAME_SAMPLES
    clean_all(guard, microphone[:half])
    guard.hold(half)
    clean_all(guard, quiet, half)  # nor is the echo heard of what was played just before
    again = half + len(quiet) // FRAME_SAMPLES * FRAME_SAMPLES
    guard.play_on(again)
    later = np.concatenate((hiss(2880, 1e-3), echo[half + 2880 :] + hiss(len(played) - half - 2880, 1e-3)))
    assert not any(one.is_own for one in clean_all(guard, later, again)[2880 // FRAME_SAMPLES + 1 :])


def test_a_muted_microphone_says_nothing_of_the_room() -> None:
    played = hiss(4 * 16_000)
    echo = Room(100, jitter_ms=0).echo(played, 0.01 * 10**-5, np.random.default_rng(0))[: len(played)]
    echo[: 2 * 16_000] = 0
    guard = EchoGuard()
    guard.play(played, 16_000, 0)
    cleaned = clean_all(guard, echo + np.where(np.arange(len(echo)) < 2 * 16_000, 0, hiss(len(echo), 1e-4)))
    assert not any(one.is_own for one in cleaned[2 * 16_000 // FRAME_SAMPLES + 1 :])


def test_what_was_stopped_is_not_expected_back() -> None:
    guard = EchoGuard()
    guard.play(hiss(3 * 16_000), 16_000, 0)
    guard.stop(16_000)
    assert guard.end_sample == 16_000
    voice = hiss((N_PARTS + 40) * FRAME_SAMPLES, seed=2)
    start = 16_000 // FRAME_SAMPLES * FRAME_SAMPLES + FRAME_SAMPLES
    clean_all(guard, np.zeros(start, np.float32))
    cleaned = clean_all(guard, voice, start)
    np.testing.assert_array_equal(cleaned[-1].samples, voice[-FRAME_SAMPLES:])
    assert cleaned[-1].own == 1.0


def test_a_reply_that_comes_after_a_gap_is_expected_where_it_plays() -> None:
    guard = EchoGuard()
    guard.play(hiss(16_000), 16_000, 0)
    guard.play(hiss(16_000), 16_000, 80_000)
    assert guard.end_sample == 96_000
    guard.play(hiss(16_000), 16_000, 90_000)  # sent ahead of time: heard behind what was sent before
    assert guard.end_sample == 112_000


async def test_frames_are_cleaned_alike_on_another_thread_while_the_reply_goes_on_arriving() -> None:
    played = hiss(64 * FRAME_SAMPLES)
    microphone = np.concatenate((np.zeros(400, np.float32), 0.3 * played))[: len(played)]
    parts = np.split(played, 16)
    alone, shared, worker = EchoGuard(), EchoGuard(), Worker("cleaning", 2)
    for part in parts:
        alone.play(part, 16_000, 0)
    expected = clean_all(alone, microphone)
    shared.play(parts[0], 16_000, 0)
    cleaned = []
    for i, frame in enumerate(frames(microphone)):
        job = asyncio.create_task(
            worker.run(lambda frame=frame, i=i: shared.clean(frame, i * FRAME_SAMPLES))  # type: ignore[misc]
        )
        await asyncio.sleep(0)
        if i % 4 == 0 and i // 4 + 1 < len(parts):
            shared.play(parts[i // 4 + 1], 16_000, 0)
        cleaned.append(await job)
    worker.close()
    assert all(np.array_equal(a.samples, b.samples) and a.own == b.own for a, b in zip(expected, cleaned, strict=True))


@pytest.mark.parametrize("at", [-5000, -700, -512, -100, 0, 100, 512, 1000])
def test_a_frame_hears_what_is_played_while_it_is_recorded_and_silence_around_it(at: int) -> None:
    played = hiss(700)
    guard = EchoGuard()
    guard.play(played, 16_000, 4096 + at)
    heard = guard._take(4096)
    line = np.zeros(16384, np.float32)
    line[4096 + at + 3000 : 4096 + at + 3700] = played
    assert np.array_equal(heard, line[7096 : 7096 + FRAME_SAMPLES])


def test_stereo_is_refused() -> None:
    with pytest.raises(InputError, match=r"takes \[n\]"):
        EchoGuard().play(np.zeros((10, 2), np.float32), 16_000, 0)


# Real voices


@pytest.fixture(scope="module")
def replies() -> list[Samples]:
    """Ten replies in ten voices, [n] at 24 kHz."""
    synthesiser = HibariSynthesiser.load(Speaking())

    async def speak(text: str, name: str) -> Samples:
        return np.concatenate([speech.audio async for speech in synthesiser.speak(text, Voice(name))])

    return [
        asyncio.run(speak(f"{SENTENCES[i]} {SENTENCES[i + 12]}", name)) for i, name in enumerate(synthesiser.voices)
    ]


@pytest.fixture(scope="module")
def people() -> list[Samples]:
    """What players say over them, in three voices of another synthesiser, from the first sound on."""
    if not is_installed("flite slt"):
        pytest.skip("flite is not installed")
    voices = ["flite slt", "flite rms", "flite awb"] * 4
    said = [spoken(voice, sentence) for voice, sentence in zip(voices, SENTENCES[28:40], strict=True)]
    return [audio[int(np.argmax(np.abs(audio) > 0.02 * np.abs(audio).max())) :] for audio in said]


async def reactions(
    models: ModelStore,
    replies: list[Samples],
    people: list[Samples],
    n: int,
    room: Room,
    level_db: float,
    speaks: bool,
) -> AsyncIterator[float | None]:
    """Of each reply: milliseconds from the player's first sample until what may be a voice, and is no echo, has lasted
    `barge_in_ms`; None where there never was any. A player who does not speak begins at the reply's first sample."""
    vad = SileroVoiceActivity.load(models.ensure("silero-vad"))
    stream, guard, chance = vad.open(), EchoGuard(), np.random.default_rng(0)
    settings = TurnTaking()
    position = 0
    for i in range(n):
        reply, voice = replies[i % len(replies)], people[i % len(people)]
        power = float(np.mean(np.square(voice))) * 10 ** (level_db / 10)
        microphone = room.echo(resample(reply, REPLY_HZ, 16_000), power, chance)
        start = int(chance.uniform(0.6, 1.8) * 16_000) if speaks else 0
        if speaks:
            microphone = np.pad(microphone, (0, max(start + len(voice) - len(microphone), 0)))
            microphone[start : start + len(voice)] += voice
        microphone = microphone + hiss(len(microphone), NOISE, seed=i)
        guard.play(reply, REPLY_HZ, position)
        onset, reaction = Onset(settings.speech_threshold), None
        for k, frame in enumerate(frames(microphone)):
            cleaned = guard.clean(frame, position)
            position += FRAME_SAMPLES
            probability = await stream.push(cleaned.samples)
            likely, powers = probability if cleaned.is_own else 0, (power_of(cleaned.samples), power_of(frame))
            onset.push(likely, *powers, 32, is_sure=cleaned.is_surely_own)
            if onset.lasted_ms >= settings.barge_in_ms and reaction is None:
                reaction = ((k + 1) * FRAME_SAMPLES - start) / 16
        guard.stop(position)
        yield reaction
    vad.close()


@pytest.mark.real
async def test_no_reply_in_fifty_interrupts_itself_by_its_echo(
    models: ModelStore, replies: list[Samples], people: list[Samples]
) -> None:
    heard = [each async for each in reactions(models, replies, people, 50, Room(180), -20, speaks=False)]
    assert [each for each in heard if each is not None] == []


@pytest.mark.real
@pytest.mark.parametrize(
    ("level_db", "room"),
    [
        (-12, Room(80)),
        (-30, Room(300, jitter_ms=15)),
        (-20, Room(120, reverberation_s=0.4)),
        (-20, Room(180, jitter_ms=120)),
    ],
)
async def test_nor_does_it_at_other_levels_and_in_other_rooms(
    models: ModelStore, replies: list[Samples], people: list[Samples], level_db: float, room: Room
) -> None:
    heard = [each async for each in reactions(models, replies, people, 12, room, level_db, speaks=False)]
    assert [each for each in heard if each is not None] == []


@pytest.mark.real
async def test_people_who_speak_over_the_echo_are_heard_and_soon(
    models: ModelStore, replies: list[Samples], people: list[Samples]
) -> None:
    heard = [each async for each in reactions(models, replies, people, 40, Room(180), -20, speaks=True)]
    real = [each for each in heard if each is not None and 0 < each < 1000]
    assert len(real) >= 38
    assert np.median(real) <= 150
    assert np.percentile(real, 95) <= 300


@pytest.mark.real
async def test_without_the_guard_the_echo_would_interrupt(models: ModelStore, replies: list[Samples]) -> None:
    stream = SileroVoiceActivity.load(models.ensure("silero-vad")).open()
    echo = Room(180).echo(resample(replies[0], REPLY_HZ, 16_000), 1e-5, np.random.default_rng(0))
    voiced = [await stream.push(frame) >= 0.5 for frame in frames(echo + hiss(len(echo), NOISE))]
    assert sum(voiced) > 20


def test_the_share_that_counts_as_somebody_is_most_of_the_sound() -> None:
    assert 0.5 < OWN < 1
