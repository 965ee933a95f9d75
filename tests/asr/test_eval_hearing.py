"""`npc eval hearing` counts words, times and windows; what the recogniser heard comes from a script."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from npc.asr.material import VOICES, Clip
from npc.audio.files import write_audio
from npc.cli.eval_hearing import by_length, hearing, listen, material, report
from npc.errors import InputError
from npc.turn import Samples, Transcript

SPEECH = Path(__file__).parents[3] / "shared" / "speech"


class Parrot:
    """Hears what it is told to, by how long the audio is."""

    def __init__(self, texts: dict[int, str]) -> None:
        self._texts = texts

    async def transcribe(self, audio: Samples, *, is_final: bool, around: Sequence[str] = ()) -> Transcript:
        text, audio_ms = self._texts[len(audio)], len(audio) / 16
        return Transcript(text, is_final, audio_ms, window="full" if len(audio) > 48_000 else "utterance")


async def test_word_errors_are_counted_by_group_and_in_all_after_normalising() -> None:
    clips = [
        Clip("people", "Twenty silver coins.", np.zeros(16_000, np.float32)),
        Clip("flite", "Open the gate!", np.zeros(64_000, np.float32)),
    ]
    ours = Parrot({16_000: "20 silver coins", 64_000: "open a gate"})
    heard = await listen(clips, ours, lambda audio: "open the" if len(audio) == 64_000 else "20 silver")
    people, flite, both = report(heard)
    assert (people.group, people.ours, people.stock) == ("people", 0.0, 33.33)
    assert (flite.group, flite.ours, flite.stock, flite.full_window) == ("flite", 33.33, 33.33, 100.0)
    assert (both.n_clips, both.ours, both.full_window) == (2, 16.67, 50.0)
    assert [row.group for row in by_length(heard)] == ["up to 2 s", "2 to 4 s"]


def test_nothing_to_hear_is_said_to_be_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # neither flite nor espeak-ng
    with pytest.raises(InputError, match="install flite or espeak-ng"):
        list(material(None, 2))


def test_recordings_are_heard_clean_with_noise_and_by_telephone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    write_audio(tmp_path / "a.wav", np.full(1_600, 0.1, np.float32), 16_000)
    (tmp_path / "transcripts.tsv").write_text("a.wav\tyes\n")
    groups = [clip.group for clip in material(tmp_path, 2)]
    assert groups == ["people", "noise at 20 dB", "noise at 10 dB", "telephone, 8 kHz"]
    assert len(VOICES) >= 5


@pytest.mark.real
def test_the_command_finds_ours_no_worse_than_stock() -> None:
    if not SPEECH.is_dir():
        pytest.skip("no recordings: ../shared/speech is absent")
    app = typer.Typer()
    app.command()(hearing)
    result = CliRunner().invoke(app, ["--recordings", str(SPEECH), "--sentences", "0", "--json"])
    found = json.loads(result.stdout)
    total = found["groups"][-1]
    assert result.exit_code == 0, result.output
    assert total["group"] == "all"
    assert total["n_clips"] == 4 * found["groups"][0]["n_clips"]
    assert total["ours"] <= total["stock"] + 1
    assert total["ours_ms"] < total["stock_ms"]


@pytest.mark.real
def test_a_folder_without_transcripts_is_a_clear_error(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(hearing)
    result = CliRunner().invoke(app, ["--recordings", str(tmp_path)])
    assert result.exit_code == 1
    assert "no transcripts.tsv" in result.output
