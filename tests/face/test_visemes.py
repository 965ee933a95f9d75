import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc.face import VISEMES, viseme_keys
from npc.face.visemes import viseme_weights
from npc.turn import Phoneme, Speech

RATE_HZ = 24_000
STEP = 2_400  # 100 ms a phoneme
MISAKI = "AIOQWYabdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹɾʃʊʌʒʤʧθᵊᵻTˈˌː ,.!?—…"


def phonemes(symbols: str) -> tuple[Phoneme, ...]:
    return tuple(Phoneme(symbol, n * STEP, (n + 1) * STEP) for n, symbol in enumerate(symbols))


def speech(symbols: str) -> Speech:
    return Speech(symbols, np.zeros(len(symbols) * STEP, np.float32), RATE_HZ, (), phonemes(symbols))


def at_middle(symbols: str, n: int) -> dict[str, float]:
    weights = viseme_weights(phonemes(symbols), np.array([(n + 0.5) * STEP]), RATE_HZ)[0]
    return {name: float(weight) for name, weight in zip(VISEMES, weights, strict=True)}


SYMBOLS, SHAPES = "pfθtksʃnɹɑɛɪɔu.", "PP FF TH DD kk SS CH nn RR aa E I O U sil"


@pytest.mark.parametrize(("symbol", "viseme"), list(zip(SYMBOLS, SHAPES.split(), strict=True)))
def test_in_the_middle_of_a_sound_the_mouth_has_its_shape(symbol: str, viseme: str) -> None:
    weights = at_middle(f"h{symbol}h", 1)
    assert max(weights, key=weights.__getitem__) == viseme


def test_a_diphthong_has_two_shapes() -> None:
    keys = [key.viseme for key in viseme_keys(speech("tAp"))]
    assert keys == ["DD", "E", "I", "PP"]


@pytest.mark.parametrize("symbol", "pbm")
def test_lips_meet_whatever_stands_around_them(symbol: str) -> None:
    for vowel in "ɑuiɔ":
        weights = viseme_weights(phonemes(f"{vowel}{symbol}{vowel}"), np.arange(0, 3.0 * STEP, 24), RATE_HZ)
        assert weights[:, VISEMES.index("PP")].max() > 0.9


def test_rounding_is_prepared_early_and_an_h_takes_the_shape_of_what_follows() -> None:
    assert at_middle("stu", 1)["U"] > at_middle("sti", 1)["U"] + 0.05
    assert at_middle("hu", 0)["U"] > 0.5
    assert at_middle("hɑ", 0)["aa"] > 0.5


def test_what_looks_alike_is_one_key_and_keys_are_in_order() -> None:
    keys = viseme_keys(speech("hɛlO, wɜld."))
    assert [key.viseme for key in keys] == ["E", "nn", "O", "U", "sil", "U", "E", "nn", "DD", "sil"]
    assert [key.sample for key in keys] == sorted(key.sample for key in keys)
    assert all(key.sample <= key.peak_sample <= key.end_sample for key in keys)


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from(MISAKI + "X7漢"), max_size=12), st.integers(0, 3))
def test_every_clause_has_weights_that_sum_to_one(symbols: str, shortest: int) -> None:
    own = tuple(Phoneme(s, n * shortest, (n + 1) * shortest) for n, s in enumerate(symbols))
    weights = viseme_weights(own, np.arange(0, 50.0, 7), RATE_HZ)
    assert np.isfinite(weights).all()
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
