"""What recognition is measured on: transcripts are found, and clips are made harder by as much as is said."""

from pathlib import Path

import numpy as np
import pytest

from npc.asr.material import SENTENCES, Clip, by_telephone, recorded, with_noise
from npc.audio.files import write_audio
from npc.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a-1.wav", "b-2.wav"):
        write_audio(tmp_path / name, np.full(8_000, 0.1, np.float32), 8_000)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("transcripts.tsv", "file\ttext\na-1.wav\tten of clubs\nb-2.wav\tfive, five\n"),
        ("transcripts.csv", 'a-1.wav,ten of clubs\nb-2.wav,"five, five"\n'),
        (
            "README.md",
            "# Clips\n\n| file | source | words |\n| --- | --- | --- |\n"
            "| a-1.wav | me | ten of clubs |\n| …-2.wav | me | five, five |\n",
        ),
    ],
)
def test_words_stand_in_a_table_beside_the_recordings(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    clips = recorded(folder)
    assert [clip.words for clip in clips] == ["ten of clubs", "five, five"]
    assert all(len(clip.audio) == 16_000 for clip in clips)


def test_a_folder_without_words_and_a_table_without_its_file_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no transcripts\.tsv"):
        recorded(folder)
    (folder / "README.md").write_text("| gone.wav | me | ten of clubs |\n")
    with pytest.raises(InputError, match=r"'gone\.wav' names 0 files"):
        recorded(folder)


def test_noise_lies_as_far_below_the_speech_as_was_asked() -> None:
    clip = Clip("x", "words", np.sin(np.arange(16_000) / 5).astype(np.float32))
    noisy = with_noise(clip, 10, seed=1)
    ratio = np.mean(clip.audio**2) / np.mean((noisy.audio - clip.audio) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(10, abs=0.3)
    assert noisy.words == clip.words
    assert noisy.group == "noise at 10 dB"


def test_a_telephone_lets_nothing_above_four_kilohertz_through() -> None:
    clip = Clip("x", "words", np.sin(np.arange(16_000) * 2 * np.pi * 6_000 / 16_000).astype(np.float32))
    assert np.abs(by_telephone(clip).audio[500:-500]).max() < 1e-2


def test_there_are_forty_different_sentences_at_least() -> None:
    assert len(set(SENTENCES)) >= 40
