"""A recording answers by sample position, whatever was forgotten before."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npc.audio import Recording

steps = st.lists(st.tuples(st.sampled_from(["append", "forget"]), st.integers(0, 40_000)), max_size=30)


@given(steps=steps, cut=st.tuples(st.integers(0, 200_000), st.integers(0, 200_000)))
def test_cuts_are_what_a_list_of_all_samples_would_give(steps: list[tuple[str, int]], cut: tuple[int, int]) -> None:
    recording = Recording()
    n_appended = first = 0
    for action, n in steps:
        if action == "append":
            recording.append(np.arange(n_appended, n_appended + n, dtype=np.float32))
            n_appended += n
        else:
            recording.forget_before(n)
            first = max(first, min(n, n_appended))
    assert (recording.first_sample, recording.end_sample) == (first, n_appended)
    start, end = cut
    kept = np.arange(n_appended, dtype=np.float32)
    assert np.array_equal(recording.cut(start, end), kept[max(start, first) : max(end, first, start)])


def test_a_cut_without_end_reaches_to_the_newest_sample() -> None:
    recording = Recording()
    recording.append(np.arange(10, dtype=np.float32))
    recording.forget_before(4)
    assert recording.cut(7).tolist() == [7, 8, 9]


def test_a_cut_is_a_copy() -> None:
    recording = Recording()
    recording.append(np.zeros(10, np.float32))
    recording.cut(0)[:] = 5
    assert recording.cut(0).max() == 0
