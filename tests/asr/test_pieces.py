"""A long recording is cut into pieces that fit the window, in pauses, and nothing is lost."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from npc.asr.pieces import MAX_PIECE_S, MIN_PIECE_S, pieces


@given(seconds=st.floats(0, 150), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_pieces_join_to_the_whole_and_each_fits(seconds: float, seed: int) -> None:
    audio = np.random.default_rng(seed).standard_normal(int(seconds * 16_000)).astype(np.float32)
    cut = pieces(audio)
    assert np.array_equal(np.concatenate(cut), audio)
    assert all(len(piece) <= MAX_PIECE_S * 16_000 for piece in cut)
    assert all(len(piece) >= MIN_PIECE_S * 16_000 for piece in cut[:-1])


def test_the_cut_falls_into_the_pause() -> None:
    audio = np.random.default_rng(0).standard_normal(40 * 16_000).astype(np.float32)
    audio[int(23.1 * 16_000) : int(23.5 * 16_000)] = 0
    first, _ = pieces(audio)
    assert 23.1 < len(first) / 16_000 < 23.5


def test_what_fits_the_window_stays_whole() -> None:
    audio = np.zeros(28 * 16_000, np.float32)
    assert len(pieces(audio)) == 1
