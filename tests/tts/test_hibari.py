"""The real synthesiser: its audio, its times, its voices."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hibari.dsp
import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npc.cli.eval_voices import SENTENCES, listening, report
from npc.config import Speaking
from npc.errors import ConfigError
from npc.models import ModelStore
from npc.tts import VOICES
from npc.tts.hibari import HibariSynthesiser, with_output
from npc.tts.measure import Portrait, portrait
from npc.tts.sayable import sayable_words
from npc.turn import Speech, Voice

if TYPE_CHECKING:
    from npc.cli.eval_voices import Listen

pytestmark = pytest.mark.real

HARD = (
    "On the 3rd of March 2024, 1,250 people paid $9.99 each to hear it read at 7:30 pm.",
    "Mr. O'Neil's half-orc (the big one) said \"don't\" -- ok? 50% @home, 5kg at 10km/h.",
    "Oh no. The Sun. Chapter IV of World War II cost $5 million, or 3.5 coins a head!",
    "naïve привет 😀 [sword](/ˈkɪl/) rock'n'roll A.I. #1 state-of-the-art 1/2 555-1234",
)


@pytest.fixture(scope="module")
def synthesiser() -> Iterator[HibariSynthesiser]:
    loaded = HibariSynthesiser.load(Speaking())
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def listen(models: ModelStore) -> "Listen":
    return listening(models.ensure("whisper-tiny.en"))


async def spoken(synthesiser: HibariSynthesiser, text: str, voice: Voice = Voice("heart")) -> list[Speech]:  # noqa: B008
    return [speech async for speech in synthesiser.speak(text, voice)]


def check(speech: Speech) -> None:
    """What must hold for anything that is spoken."""
    n = len(speech.audio)
    assert speech.audio.dtype == np.float32
    assert np.isfinite(speech.audio).all()
    assert 0.01 < np.abs(speech.audio).max() <= 1
    assert [word.text for word in speech.words] == [word.visible for word in sayable_words(speech.text)]
    edges = [edge for word in speech.words for edge in (word.start_sample, word.end_sample)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= n
    tiles = [(phoneme.start_sample, phoneme.end_sample) for phoneme in speech.phonemes]
    assert tiles[0][0] == 0
    assert tiles[-1][1] == n
    assert all(one[1] == next_one[0] for one, next_one in itertools.pairwise(tiles))
    assert all(start <= end for start, end in tiles)


@pytest.mark.parametrize("text", [*SENTENCES[:3], *HARD])
async def test_every_visible_word_has_its_time(synthesiser: HibariSynthesiser, text: str) -> None:
    parts = await spoken(synthesiser, text)
    for part in parts:
        check(part)
    assert "".join(part.text for part in parts) == text
    words = [word for part in parts for word in part.words]
    assert [word.text for word in words] == [word.visible for word in sayable_words(text)]
    heard = [word for word in words if word.text != "привет"]
    assert all(word.end_sample > word.start_sample for word in heard)


async def test_a_number_of_many_words_takes_its_time(synthesiser: HibariSynthesiser) -> None:
    (speech,) = await spoken(synthesiser, "I paid $9.99 at 7:30 pm today.")
    seconds = {word.text: (word.end_sample - word.start_sample) / 24_000 for word in speech.words}
    assert seconds["$9.99"] > 3 * seconds["paid"]
    assert seconds["7:30"] > seconds["at"]
    assert seconds["pm"] > 0.15


def test_the_models_durations_are_as_long_as_its_audio(synthesiser: HibariSynthesiser) -> None:
    reading = synthesiser._reader.read(sayable_words(SENTENCES[0]))
    for speed in (0.7, 1.0, 1.4):
        frames, durations = synthesiser._run(reading, speed)
        assert len(durations) == len(reading.units)
        assert durations.sum() * 2 == len(frames.f0_hz)


async def test_words_are_where_their_times_say(synthesiser: HibariSynthesiser, listen: "Listen") -> None:
    import soxr

    (speech,) = await spoken(
        synthesiser, "The merchant sells wonderful medicine, beautiful horses, and enormous bottles."
    )
    for word in speech.words:
        if len(word.text) < 8:
            continue
        piece = speech.audio[max(word.start_sample - 480, 0) : word.end_sample + 480]
        padded = np.pad(soxr.resample(piece, 24_000, 16_000).astype(np.float32), 4000)
        assert (await listen(padded)).strip(" .,!").lower()[:4] == word.text[:4]


async def test_the_edges_of_voicing_are_where_the_phonemes_say(synthesiser: HibariSynthesiser) -> None:
    """Voiceless stops and fricatives against vowels: most of the frames agree."""
    voiceless, agreements = set("ptkfsʃθʧ"), []
    for text in ("Papa paid a penny for a pie.", "See the silver sea and sing.", "Take the top two tickets to Toby."):
        (speech,) = await spoken(synthesiser, text)
        low_power = []
        for phoneme in speech.phonemes[:-1]:
            middle = (phoneme.start_sample + phoneme.end_sample) // 2
            around = speech.audio[max(middle - 300, 0) : middle + 300]
            spectrum = np.abs(np.fft.rfft(around * np.hanning(len(around)), 1200)) ** 2
            low_power.append(spectrum[3:50].sum())  # 60 to 1000 Hz
        voiced = np.array(low_power) > 0.02 * max(low_power)
        agreements += [bool(is_voiced) != (p.symbol in voiceless) for is_voiced, p in zip(voiced, speech.phonemes)]  # noqa: B905
    assert np.mean(agreements) > 0.8


@pytest.mark.parametrize("name", VOICES)
async def test_the_first_sound_comes_at_once_and_ends_without_a_click(
    synthesiser: HibariSynthesiser, name: str
) -> None:
    for text in ("Hello there.", "Five swords,", "She sings"):
        (speech,) = await spoken(synthesiser, text, Voice(name))
        power = (speech.audio[: len(speech.audio) // 120 * 120].reshape(-1, 120) ** 2).mean(axis=1)  # 5 ms
        audible = np.flatnonzero(power > power.max() * 1e-4)
        assert audible[0] * 5 < 30
        assert speech.audio[0] == 0
        assert abs(float(speech.audio[-1])) < 1e-3


async def test_equal_text_is_equal_audio(synthesiser: HibariSynthesiser) -> None:
    for name in ("heart", "whispery"):
        (one,) = await spoken(synthesiser, "Mind the step.", Voice(name))
        (other,) = await spoken(synthesiser, "Mind the step.", Voice(name))
        assert np.array_equal(one.audio, other.audio)


async def test_sessions_at_once_do_not_mix(synthesiser: HibariSynthesiser) -> None:
    jobs = [(text, Voice(name)) for text, name in zip(SENTENCES[:6], ("heart", "gruff", "sprite") * 2, strict=True)]
    alone = [await spoken(synthesiser, text, voice) for text, voice in jobs]
    together = await asyncio.gather(*(spoken(synthesiser, text, voice) for text, voice in jobs))
    for one, other in zip(alone, together, strict=True):
        assert one[0].text == other[0].text
        assert one[0].words == other[0].words
        assert np.array_equal(one[0].audio, other[0].audio)


@pytest.mark.parametrize("text", ["", " \n ", "...", "😀 🔥", "— , !", "\x00\x07\u200b", "привет", "[](/a/)"])
async def test_nothing_to_say_yields_nothing(synthesiser: HibariSynthesiser, text: str) -> None:
    assert all(part.words for part in await spoken(synthesiser, text))


async def test_phonemes_cannot_be_smuggled_in(synthesiser: HibariSynthesiser) -> None:
    (marked,) = await spoken(synthesiser, "[hello](/kˈɪl/)")
    assert marked.phonemes[0].symbol == "h"
    assert len(marked.phonemes) > len("kɪl")


async def test_a_long_text_is_streamed_in_sentences(synthesiser: HibariSynthesiser) -> None:
    text = ("The road is long, and the night is cold in these mountains. " * 40)[:2000]
    parts = await spoken(synthesiser, text)
    assert "".join(part.text for part in parts) == text
    assert len(parts) > 20
    assert max(len(part.audio) for part in parts) < 24_000 * 12


async def test_a_long_text_without_any_end_is_streamed_too(synthesiser: HibariSynthesiser) -> None:
    for text in ("word " * 400, "x" * 2000, "9" * 2000):
        parts = await spoken(synthesiser, text[:2000])
        assert "".join(part.text for part in parts) == text[:2000]
        for part in parts:
            check(part)


@given(st.text(max_size=120) | st.text(st.sampled_from("ab 19.,:$%/-'@#IVX()½°²&+="), max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_can_be_read(synthesiser: HibariSynthesiser, text: str) -> None:
    words = sayable_words(text)
    reading = synthesiser._reader.read(words)
    owners = [unit.word for unit in reading.units if unit.word is not None]
    assert owners == sorted(owners)
    assert not owners or owners[-1] < len(words)


async def test_speed_pitch_and_formants_move_on_their_own(synthesiser: HibariSynthesiser) -> None:
    async def heard(voice: Voice) -> tuple[Portrait, int]:
        audio = [(await spoken(synthesiser, text, voice))[0].audio for text in SENTENCES[:3]]
        return portrait(audio, 24_000), sum(map(len, audio))

    plain, n = await heard(Voice("heart"))
    slow, n_slow = await heard(Voice("heart", speed=0.7))
    low, n_low = await heard(Voice("heart", pitch=0.6))
    large, n_large = await heard(Voice("heart", formant=0.82))
    assert n_slow > 1.25 * n
    assert slow.f0_hz == pytest.approx(plain.f0_hz, rel=0.06)
    assert n_low == pytest.approx(n, rel=0.02)
    assert low.f0_hz == pytest.approx(0.6 * plain.f0_hz, rel=0.05)
    assert n_large == pytest.approx(n, rel=0.02)
    assert large.f0_hz == pytest.approx(plain.f0_hz, rel=0.04)
    small, _ = await heard(Voice("heart", formant=1.2))
    assert large.timbre_from(plain) > 1.5
    assert large.centroid_hz < plain.centroid_hz < small.centroid_hz


async def test_voices_are_pairwise_distinct(synthesiser: HibariSynthesiser) -> None:
    portraits = {
        name: portrait([(await spoken(synthesiser, text, Voice(name)))[0].audio for text in SENTENCES[:4]], 24_000)
        for name in VOICES
    }
    for one, other in itertools.combinations(VOICES, 2):
        apart = portraits[one].semitones_from(portraits[other]), portraits[one].timbre_from(portraits[other])
        assert abs(apart[0]) + apart[1] > 2, (one, other, apart)
    assert portraits["deep"].f0_hz < 0.6 * portraits["heart"].f0_hz
    assert portraits["sprite"].f0_hz > 1.3 * portraits["heart"].f0_hz


async def test_voices_are_about_equally_loud(synthesiser: HibariSynthesiser) -> None:
    loudness = []
    for name in VOICES:
        (speech,) = await spoken(synthesiser, SENTENCES[4], Voice(name))
        loudness.append(10 * np.log10((speech.audio**2).mean()))
    assert max(loudness) - min(loudness) < 4


async def test_a_voice_that_does_not_exist_is_refused(synthesiser: HibariSynthesiser) -> None:
    with pytest.raises(ConfigError, match="voice 'anna' is unknown"):
        await spoken(synthesiser, "Hello.", Voice("anna"))


async def test_every_voice_is_understood_as_well_as_the_plain_one(
    synthesiser: HibariSynthesiser, listen: "Listen"
) -> None:
    # `npc eval voices` takes all twenty sentences.
    rows = await report(synthesiser, listen, list(VOICES), SENTENCES[:5])
    assert {row.voice for row in rows} == set(VOICES)
    assert all(row.points_over_plain <= 3 for row in rows), rows
    assert next(row for row in rows if row.voice == "heart").word_error_rate < 5


def test_a_graph_gets_one_more_output() -> None:
    graph = (Path(hibari.dsp.__file__).parent / "assets" / "hibari.onnx").read_bytes()
    plain = onnxruntime.InferenceSession(graph)
    more = onnxruntime.InferenceSession(with_output(graph, "/Clip_output_0"))
    names = [output.name for output in plain.get_outputs()]
    assert [output.name for output in more.get_outputs()] == [*names, "/Clip_output_0"]


async def test_several_workers_say_the_same_as_one(synthesiser: HibariSynthesiser) -> None:
    texts = [*HARD, *(f"There were {n} wolves, and xyzzq was the last of them." for n in range(8))]
    alone = [await spoken(synthesiser, text) for text in texts]
    shared = HibariSynthesiser.load(Speaking(n_workers=3))
    try:
        together = await asyncio.gather(*(spoken(shared, text) for text in texts))
    finally:
        shared.close()
    for one, other in zip(alone, together, strict=True):
        assert [part.words for part in one] == [part.words for part in other]
        assert all(np.array_equal(a.audio, b.audio) for a, b in zip(one, other, strict=True))
