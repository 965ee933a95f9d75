"""The spoken turns that turn-taking is judged on: where their pauses are, and where they end."""

from pathlib import Path

import numpy as np
import pytest

from npc.asr.material import is_installed
from npc.audio.files import write_audio
from npc.turntaking.material import (
    LONGEST_PAUSE_MS,
    QUIET_AFTER_MS,
    SHORTEST_PAUSE_MS,
    SpokenTurn,
    scripts,
    with_people,
    with_programs,
)


def check(turn: SpokenTurn) -> None:
    after = turn.audio[turn.end_sample :]
    assert len(after) == QUIET_AFTER_MS * 16
    assert np.abs(after).max() < 0.01 < np.abs(turn.audio[turn.end_sample - 1600 : turn.end_sample]).max()
    for pause in turn.pauses:
        assert SHORTEST_PAUSE_MS <= (pause.end_sample - pause.start_sample) / 16 <= LONGEST_PAUSE_MS
        assert np.abs(turn.audio[pause.start_sample : pause.end_sample]).max() < 0.01
        assert pause.end_sample < turn.end_sample


def test_scripts_say_where_one_may_stop_to_think() -> None:
    turn = next(turn for turn in scripts() if turn.words == "I'd like to buy a sword if you have one.")
    assert turn.parts == ("I'd like to buy", "a sword", "if you have one.")
    assert turn.places == ("mid-clause", "clause")


def test_scripts_for_tuning_and_for_judging_are_not_the_same() -> None:
    tuning, judging = ({turn.words for turn in scripts(part)} for part in ("tuning", "judging"))
    assert not tuning & judging
    assert abs(len(tuning) - len(judging)) <= 1
    assert len(scripts("all")) == len(tuning) + len(judging)


def test_answers_know_their_question() -> None:
    assert {turn.asked for turn in scripts() if turn.words == "Robert."} == {"What is your name?"}


def test_turns_of_synthesisers_have_their_pauses_where_they_say() -> None:
    if not is_installed("flite slt"):
        pytest.skip("flite is not installed")
    turns = list(with_programs(scripts()[:12], ["flite slt"], seed=1))
    assert len(turns) == 12
    assert any(turn.pauses for turn in turns)
    for turn in turns:
        check(turn)


def test_equal_seeds_give_equal_turns() -> None:
    if not is_installed("flite slt"):
        pytest.skip("flite is not installed")
    one, again, other = (list(with_programs(scripts()[:3], ["flite slt"], seed=seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a.audio, b.audio) for a, b in zip(one, other, strict=True))


def test_recordings_are_cut_where_they_are_quietest(tmp_path: Path) -> None:
    loud = (0.3 * np.random.default_rng(0).standard_normal(32_000)).astype(np.float32)
    loud[15_000:16_500] *= 0.01
    for i in range(6):
        write_audio(tmp_path / f"{i}.wav", loud, 16_000)
    (tmp_path / "transcripts.tsv").write_text("".join(f"{i}.wav\tsome words\n" for i in range(6)))
    turns = list(with_people(tmp_path))
    paused = [turn for turn in turns if turn.pauses]
    assert 0 < len(paused) < 6
    for turn in turns:
        check(turn)
    quiet_before = 400 * 16
    for turn in paused:
        assert 15_000 <= turn.pauses[0].start_sample - quiet_before <= 16_500
