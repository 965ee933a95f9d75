"""What is taken for the beginning of a voice, before it is sure that there is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.turntaking.onset import LIKELY_IF_SUDDEN, LINGER_MS, Onset

FRAME_MS = 32.0
HINT = LIKELY_IF_SUDDEN * 0.5 + 0.01
"""More than a sudden sound needs, less than a steady one."""
ROOM, VOICE = 1e-6, 1e-3  # mean squares


def onset(*frames: tuple[float, float]) -> Onset:
    """After a second of a quiet room and these frames of probability and power."""
    made = Onset(0.5)
    for probability, power in ((0.0, ROOM),) * 31 + frames:
        made.push(probability, power, power, FRAME_MS)
    return made


def test_a_quiet_room_is_no_sign_of_a_voice() -> None:
    assert onset().lasted_ms == 0


def test_one_sure_frame_is_a_sign() -> None:
    assert onset((0.6, ROOM)).lasted_ms == FRAME_MS


def test_after_a_sudden_rise_a_hint_is_enough() -> None:
    assert onset((HINT, VOICE)).lasted_ms == FRAME_MS
    assert onset((HINT, ROOM)).lasted_ms == 0


def test_a_sudden_noise_without_any_likeness_to_a_voice_is_no_sign() -> None:
    assert onset(*((0.02, VOICE),) * 5).lasted_ms == 0


def test_a_steady_sound_is_sudden_only_at_its_beginning() -> None:
    music = onset(*((0.02, VOICE),) * 31, *((HINT, VOICE),) * 5)
    assert music.lasted_ms == 0
    assert onset(*((0.02, VOICE),) * 31, (0.6, VOICE)).lasted_ms == FRAME_MS


def test_a_slow_attack_is_as_sudden() -> None:
    assert onset((0.02, 1e-5), (0.05, 1e-4), (HINT, VOICE)).lasted_ms == FRAME_MS


def test_what_is_left_of_an_echo_that_was_taken_out_is_not_sudden() -> None:
    made = onset()
    for _ in range(20):
        made.push(0.02, ROOM, VOICE, FRAME_MS)
    made.push(HINT, VOICE, VOICE, FRAME_MS)
    assert made.lasted_ms == 0


def test_what_may_be_echo_is_a_sign_only_when_it_lasts_for_two_frames() -> None:
    made = onset()
    made.push(0.9, VOICE, VOICE, FRAME_MS, is_sure=False)
    assert made.lasted_ms == 0
    made.push(0.9, VOICE, VOICE, FRAME_MS, is_sure=False)
    assert made.lasted_ms == FRAME_MS


def test_two_frames_that_may_be_echo_with_a_gap_between_are_none() -> None:
    made = onset()
    for probability in (0.9, 0.0, 0.9):
        made.push(probability, VOICE, VOICE, FRAME_MS, is_sure=False)
    assert made.lasted_ms == 0


def test_nothing_is_sudden_before_there_is_anything_to_compare_with() -> None:
    first = Onset(0.5)
    first.push(HINT, VOICE, VOICE, FRAME_MS)
    assert first.lasted_ms == 0


def test_a_sign_lingers_and_is_then_over() -> None:
    n_lingering = int(LINGER_MS / FRAME_MS) - 1
    assert onset((0.9, VOICE), *((0.0, ROOM),) * n_lingering).lasted_ms == FRAME_MS
    assert onset((0.9, VOICE), *((0.0, ROOM),) * (n_lingering + 1)).lasted_ms == 0


def test_signs_with_a_gap_between_are_one_voice_from_the_first_to_the_last() -> None:
    assert onset((0.9, VOICE), (0.0, ROOM), (0.0, ROOM), (0.9, VOICE)).lasted_ms == 4 * FRAME_MS


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_what_is_sure_follows_the_setting(threshold: float) -> None:
    made = Onset(threshold)
    made.push(threshold - 0.01, ROOM, ROOM, FRAME_MS)
    assert made.lasted_ms == 0
    made.push(threshold, ROOM, ROOM, FRAME_MS)
    assert made.lasted_ms == FRAME_MS


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=60))
def test_whatever_is_heard_a_sign_lasts_no_longer_than_was_listened(frames: list[tuple[float, float]]) -> None:
    made = onset(*frames)
    assert 0 <= made.lasted_ms <= (31 + len(frames)) * FRAME_MS
