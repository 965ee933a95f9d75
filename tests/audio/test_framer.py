"""Frames hold every sample once, in order, wherever the chunks were cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.audio import Framer


@given(chunks=st.lists(st.integers(0, 2000), max_size=20), size=st.integers(1, 600))
def test_no_sample_is_lost_doubled_or_moved(chunks: list[int], size: int) -> None:
    stream = np.arange(sum(chunks), dtype=np.float32)
    framer = Framer(size)
    frames = [frame for chunk in np.split(stream, np.cumsum(chunks)) for frame in framer.push(chunk)]
    assert framer.n_samples == len(stream)
    assert framer.n_waiting == len(stream) % size
    for i, frame in enumerate(frames):
        assert frame.first_sample == i * size
        assert np.array_equal(frame.samples, stream[i * size : (i + 1) * size])
    assert len(frames) == len(stream) // size


def test_flushing_fills_the_last_frame_with_silence_but_counts_only_what_came() -> None:
    framer = Framer(4)
    framer.push(np.ones(6, np.float32))
    last = framer.flush()
    assert last is not None
    assert last.samples.tolist() == [1, 1, 0, 0]
    assert (last.first_sample, framer.n_samples) == (4, 6)
    assert framer.flush() is None


def test_frames_do_not_change_when_the_callers_buffer_is_reused() -> None:
    buffer = np.ones(4, np.float32)
    (frame,) = Framer(4).push(buffer)
    buffer[:] = 9
    assert frame.samples.tolist() == pytest.approx([1, 1, 1, 1])
