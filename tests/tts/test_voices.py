import subprocess
import sys

import pytest

from npc.errors import ConfigError
from npc.tts.voices import LIMITS, TIMBRES, VOICES, timbre_of
from npc.turn import Voice


def test_there_are_at_least_six_voices_with_a_description() -> None:
    assert len(VOICES) >= 6
    assert all(VOICES.values())


def test_every_voice_is_within_the_limits_as_it_is() -> None:
    for name in VOICES:
        assert timbre_of(Voice(name)) == TIMBRES[name]


def test_a_characters_factors_multiply_the_voices_own() -> None:
    timbre = timbre_of(Voice("warm", speed=1.1, pitch=0.9, formant=0.95))
    own = TIMBRES["warm"]
    assert timbre.pitch == pytest.approx(own.pitch * 0.9)
    assert timbre.speed == pytest.approx(own.speed * 1.1)
    assert timbre.formant == pytest.approx(own.formant * 0.95)
    assert timbre.breath == own.breath


def test_an_unknown_voice_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"voice 'anna' is unknown; have 'heart', 'gruff'"):
        timbre_of(Voice("anna"))


@pytest.mark.parametrize("factor", sorted(LIMITS))
@pytest.mark.parametrize("value", [0.0, -1.0, 0.1, 9.0, float("nan"), float("inf")])
def test_a_factor_beyond_what_a_voice_can_do_is_told_the_range(factor: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"voice 'heart': {factor} is .*; with this voice it goes from "):
        timbre_of(Voice("heart", **{factor: value}))


def test_knowing_the_voices_loads_no_model_library() -> None:
    heavy = ["numpy", "scipy", "onnxruntime", "hibari", "torch"]
    code = f"import sys, npc.tts; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
