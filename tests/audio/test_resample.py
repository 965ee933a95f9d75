"""Any rate comes out at 16 kHz, whole, in time, unaliased, and at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc.audio.resample import StreamResampler, resample
from npc.errors import InputError
from npc.turn import Samples

RATES_HZ = (8_000, 16_000, 24_000, 44_100, 48_000)


def tone(hz: float, rate_hz: int, seconds: float) -> Samples:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz).astype(np.float32)


def stream(samples: Samples, rate_hz: int, chunk: int) -> Samples:
    resampler = StreamResampler(rate_hz, 16_000)
    parts = [resampler.push(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
    return np.concatenate([*parts, resampler.flush()])


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tone_keeps_its_pitch_its_phase_and_its_length(rate_hz: int) -> None:
    heard = stream(tone(1000, rate_hz, 1.37), rate_hz, rate_hz // 50)
    assert len(heard) == round(1.37 * 16_000)
    wanted = tone(1000, 16_000, 1.37)
    assert np.abs(heard - wanted)[200:-200].max() < 1e-3


@given(rate_hz=st.sampled_from(RATES_HZ), seed=st.integers(0, 2**32 - 1), n=st.integers(0, 5000))
@settings(max_examples=40, deadline=None)
def test_cutting_a_stream_differently_changes_nothing(rate_hz: int, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(n).astype(np.float32)
    whole = stream(samples, rate_hz, max(n, 1))
    resampler = StreamResampler(rate_hz, 16_000)
    cuts = np.sort(rng.integers(0, n + 1, size=5))
    parts = [resampler.push(part) for part in np.split(samples, cuts)]
    assert np.array_equal(np.concatenate([*parts, resampler.flush()]), whole)
    assert len(whole) == -(-n * 16_000 // rate_hz)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_at_most_two_and_a_half_milliseconds_are_held_back(rate_hz: int) -> None:
    resampler = StreamResampler(rate_hz, 16_000)
    n_in = n_out = 0
    for _ in range(100):
        n_out += len(resampler.push(np.zeros(rate_hz // 50, np.float32)))
        n_in += rate_hz // 50
        assert n_in / rate_hz - n_out / 16_000 < 2.5e-3


@pytest.mark.parametrize("rate_hz", [24_000, 44_100, 48_000])
def test_what_is_above_the_band_does_not_fold_into_it(rate_hz: int) -> None:
    assert np.abs(stream(tone(9_500, rate_hz, 0.5), rate_hz, 480)[400:-400]).max() < 1e-3


def test_telephone_speech_gains_no_mirror_image_above_its_band() -> None:
    heard = stream(tone(3_000, 8_000, 1.0), 8_000, 160)[4_000:12_000]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert spectrum[5_000 // 2 :].max() < 1e-3 * spectrum.max()  # bins of 2 Hz; the image lies at 5 kHz


def test_a_long_stream_keeps_no_more_than_its_filter_needs() -> None:
    resampler = StreamResampler(44_100, 16_000)
    for _ in range(500):
        resampler.push(np.zeros(882, np.float32))
    assert len(resampler._recent) < 1_000


def test_whole_signals_agree_with_streams() -> None:
    samples = tone(440, 48_000, 0.5)
    assert np.abs(resample(samples, 48_000, 16_000) - stream(samples, 48_000, 960))[200:-200].max() < 1e-3


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match="0 to 16000 Hz"):
        StreamResampler(0, 16_000)
