"""Files become mono samples, and what is no audio is said to be none."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from npc.audio.files import read_audio, write_audio
from npc.errors import InputError


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_what_was_written_is_read_back(tmp_path: Path, name: str) -> None:
    samples = np.sin(np.arange(4800) / 20).astype(np.float32) * 0.7
    write_audio(tmp_path / name, samples, 24_000)
    read, rate_hz = read_audio(tmp_path / name)
    assert rate_hz == 24_000
    assert np.abs(read - samples).max() < 1e-4


def test_channels_are_averaged_and_the_rate_is_brought_to_what_is_asked(tmp_path: Path) -> None:
    left = np.full(4_800, 0.5, np.float32)
    soundfile.write(tmp_path / "two.wav", np.stack([left, -0.1 * left], axis=1), 48_000)
    read, rate_hz = read_audio(tmp_path / "two.wav", 16_000)
    assert (rate_hz, len(read)) == (16_000, 1_600)
    assert np.abs(read[200:-200] - 0.225).max() < 1e-3


def test_loud_samples_are_clipped_and_not_wrapped(tmp_path: Path) -> None:
    write_audio(tmp_path / "loud.wav", np.array([3.0, -3.0], np.float32), 16_000)
    read, _ = read_audio(tmp_path / "loud.wav")
    assert read[0] > 0.99
    assert read[1] < -0.99


def test_a_text_file_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("not a wave")
    with pytest.raises(InputError, match=r"notes\.wav: is no audio file"):
        read_audio(tmp_path / "notes.wav")


def test_a_missing_file_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_audio(tmp_path / "gone.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 16_000)
    with pytest.raises(InputError, match="holds no samples"):
        read_audio(tmp_path / "empty.wav")


def test_writing_what_is_no_wav_or_flac_and_writing_nowhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"use \.wav or \.flac"):
        write_audio(tmp_path / "a.mp4", np.zeros(10, np.float32), 16_000)
    with pytest.raises(InputError, match="cannot be written"):
        write_audio(tmp_path / "nowhere" / "a.wav", np.zeros(10, np.float32), 16_000)
