"""The model that hears whether a speaker is finished: on people, at any length, and without its files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from npc.audio.files import read_audio
from npc.errors import ModelError
from npc.models import ModelStore
from npc.turn import Samples
from npc.turntaking.smart_turn import SmartTurn

SPEECH = Path(__file__).parents[3] / "shared" / "speech"


@pytest.fixture(scope="module")
def smart_turn(models: ModelStore) -> Iterator[SmartTurn]:
    loaded = SmartTurn.load(models.ensure("smart-turn-v3"))
    yield loaded
    loaded.close()


def recording(name: str) -> Samples:
    if not (SPEECH / name).is_file():
        pytest.skip(f"no recordings: ../shared/speech/{name} is absent")
    return read_audio(SPEECH / name, 16_000)[0]


@pytest.mark.real
async def test_a_reader_sounds_finished_at_the_end_and_not_in_the_middle(smart_turn: SmartTurn) -> None:
    audio = recording("sense_and_sensibility_01_austen_64kb-0870.wav")
    assert await smart_turn.probability(audio) > 0.8
    for part in (0.8, 0.6):
        assert await smart_turn.probability(audio[: int(part * len(audio))]) < 0.2


@pytest.mark.real
async def test_only_the_last_eight_seconds_count(smart_turn: SmartTurn) -> None:
    audio = recording("jfk.flac")
    assert await smart_turn.probability(audio) == await smart_turn.probability(audio[-8 * 16_000 :])


@pytest.mark.real
async def test_how_loud_somebody_speaks_changes_no_verdict(smart_turn: SmartTurn) -> None:
    audio = recording("sense_and_sensibility_01_austen_64kb-0870.wav")
    for gain in (0.1, 2.0):
        assert await smart_turn.probability(gain * audio) > 0.8
        assert await smart_turn.probability(gain * audio[: int(0.6 * len(audio))]) < 0.2


@pytest.mark.real
@pytest.mark.parametrize("seconds", [0.3, 3.0, 8.0, 11.0])
def test_the_features_are_those_that_the_model_was_trained_on(smart_turn: SmartTurn, seconds: float) -> None:
    audio = np.random.default_rng(0).standard_normal(int(seconds * 16_000)).astype(np.float32) * 0.1
    window = np.pad(audio[-128_000:], (max(128_000 - len(audio), 0), 0))
    theirs = WhisperFeatureExtractor(chunk_length=8)(
        window, sampling_rate=16_000, do_normalize=True, return_tensors="np"
    ).input_features[0]
    np.testing.assert_allclose(smart_turn.features(audio), theirs, atol=1e-3)


@pytest.mark.real
async def test_an_instant_of_sound_and_none_at_all_are_judged_too(smart_turn: SmartTurn) -> None:
    for n in (0, 1, 400):
        assert 0 <= await smart_turn.probability(np.zeros(n, np.float32)) <= 1


def test_a_folder_without_a_model_and_one_with_a_broken_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no smart-turn"):
        SmartTurn.load(tmp_path)
    (tmp_path / "smart-turn-v3.2-cpu.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="is no end-of-turn model"):
        SmartTurn.load(tmp_path)
