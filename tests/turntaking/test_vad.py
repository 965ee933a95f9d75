"""Voice activity tells speech from silence and noise, for many microphones at once, and never mixes them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from npc.audio import FRAME_SAMPLES, Framer
from npc.audio.files import read_audio
from npc.config import TurnTaking
from npc.errors import InputError, ModelError
from npc.models import ModelStore
from npc.stages import VoiceActivityStream
from npc.turn import Samples
from npc.turntaking import DetectorEvent, TurnDetector, TurnEnded, TurnStarted
from npc.turntaking.vad import SileroVoiceActivity

SPEECH = Path(__file__).parents[3] / "shared" / "speech"


@pytest.fixture(scope="module")
def vad(models: ModelStore) -> Iterator[SileroVoiceActivity]:
    loaded = SileroVoiceActivity.load(models.ensure("silero-vad"))
    yield loaded
    loaded.close()


def recording(name: str) -> Samples:
    if not (SPEECH / name).is_file():
        pytest.skip(f"no recordings: ../shared/speech/{name} is absent")
    return read_audio(SPEECH / name, 16_000)[0]


async def probabilities(stream: VoiceActivityStream, audio: Samples) -> list[float]:
    return [await stream.push(frame.samples) for frame in Framer().push(audio)]


def test_a_folder_without_the_model_is_said_to_hold_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds neither .*silero_vad"):
        SileroVoiceActivity.load(tmp_path)


def test_a_file_that_is_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "silero_vad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="is no voice activity model"):
        SileroVoiceActivity.load(tmp_path)


@pytest.mark.real
async def test_silence_and_noise_are_no_speech(vad: SileroVoiceActivity) -> None:
    rng = np.random.default_rng(0)
    hum = np.sin(np.arange(32_000) * 2 * np.pi * 50 / 16_000).astype(np.float32) * 0.1
    for audio in (np.zeros(32_000, np.float32), rng.standard_normal(32_000).astype(np.float32) * 0.02, hum):
        assert max(await probabilities(vad.open(), audio)) < 0.5


@pytest.mark.real
async def test_a_recording_between_silences_is_one_turn_of_its_length(vad: SileroVoiceActivity) -> None:
    speech = recording("sense_and_sensibility_01_austen_64kb-0930.wav")
    audio = np.concatenate((np.zeros(16_000, np.float32), speech, np.zeros(16_000, np.float32)))
    detector = TurnDetector(TurnTaking(endpoint_ms=600))
    events: list[DetectorEvent] = []
    for probability in await probabilities(vad.open(), audio):
        events += detector.push(probability, FRAME_SAMPLES)
    assert isinstance(events[0], TurnStarted)
    assert isinstance(events[-1], TurnEnded)
    assert sum(isinstance(event, TurnStarted) for event in events) == 1
    loud = np.flatnonzero(np.abs(audio) > 0.1 * np.abs(audio).max())
    assert abs(events[0].speech_start_sample - loud[0]) < 0.25 * 16_000
    assert abs(events[-1].speech_end_sample - loud[-1]) < 0.25 * 16_000


@pytest.mark.real
async def test_streams_that_run_at_once_do_not_hear_each_other(vad: SileroVoiceActivity) -> None:
    speech = recording("cards-005.wav")
    rng = np.random.default_rng(0)
    inputs = [speech, np.zeros_like(speech), (rng.standard_normal(len(speech)) * 0.01).astype(np.float32), speech[::-1]]
    alone = [await probabilities(vad.open(), audio) for audio in inputs]
    together = await asyncio.gather(*(probabilities(vad.open(), audio) for audio in inputs for _ in range(4)))
    assert together == [heard for heard in alone for _ in range(4)]


@pytest.mark.real
async def test_a_reset_stream_is_as_good_as_new(vad: SileroVoiceActivity) -> None:
    speech = recording("cards-001.wav")
    stream = vad.open()
    fresh = await probabilities(stream, speech)
    assert await probabilities(stream, speech) != fresh
    stream.reset()
    assert await probabilities(stream, speech) == fresh


@pytest.mark.real
async def test_a_frame_of_another_length_is_refused(vad: SileroVoiceActivity) -> None:
    with pytest.raises(InputError, match=r"\[512\]"):
        await vad.open().push(np.zeros(480, np.float32))


async def test_several_workers_hear_each_microphone_as_one_would(vad: SileroVoiceActivity, models: ModelStore) -> None:
    chance = np.random.default_rng(5)
    microphones = [(chance.standard_normal(16_000) * level).astype(np.float32) for level in (0.001, 0.05, 0.3)]
    alone = [await probabilities(vad.open(), audio) for audio in microphones]
    shared = SileroVoiceActivity.load(models.ensure("silero-vad"), n_workers=3)
    try:
        together = await asyncio.gather(*(probabilities(shared.open(), audio) for audio in microphones))
    finally:
        shared.close()
    assert together == alone
