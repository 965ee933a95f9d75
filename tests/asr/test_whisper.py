"""The recogniser on real speech: the right words at any rate, silence where nobody speaks, and many callers at once."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jiwer
import numpy as np
import pytest

from npc.asr.material import Clip, by_telephone, recorded, synthesised, with_noise
from npc.asr.whisper import HINT_TOKENS, WhisperRecogniser
from npc.audio import StreamResampler, resample
from npc.audio.files import read_audio
from npc.config import Recognition
from npc.errors import ConfigError, ModelError
from npc.frames import from_pcm, to_pcm
from npc.models import ModelStore
from npc.train.listen import hear
from npc.turn import Samples, Transcript
from npc.worker import Worker

pytestmark = pytest.mark.real
SPEECH = Path(__file__).parents[3] / "shared" / "speech"
NAMES = ("Scaramotto", "waterskin", "Old Vizier", "seam twelve", "crab drone", "felling axe", "Drowned Goose")
JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture(scope="module")
def folder(models: ModelStore) -> Path:
    return models.ensure("whisper-tiny.en")


@pytest.fixture(scope="module")
def recogniser(folder: Path) -> Iterator[WhisperRecogniser]:
    loaded = WhisperRecogniser.load(folder, Recognition())
    yield loaded
    loaded.close()


def recording(name: str) -> Samples:
    if not (SPEECH / name).is_file():
        pytest.skip(f"no recordings: ../shared/speech/{name} is absent")
    return read_audio(SPEECH / name, 16_000)[0]


def spoken(sentence: str) -> Samples:
    if not shutil.which("flite"):
        pytest.skip("flite is not installed")
    return next(synthesised([sentence], ["flite slt"])).audio


def plain(text: str) -> str:
    return "".join(sign for sign in text.lower().replace("-", " ") if sign.isalpha() or sign == " ")


def errors(said: str, heard: Transcript) -> float:
    return jiwer.wer(plain(said), plain(heard.text) or "nothing")


async def test_a_president_is_understood_to_the_word(recogniser: WhisperRecogniser) -> None:
    heard = await recogniser.transcribe(recording("jfk.flac"), is_final=True)
    assert plain(heard.text) == JFK
    assert heard.is_final
    assert heard.audio_ms == pytest.approx(11_000)
    assert heard.window == "utterance"
    assert heard.mean_logprob > -0.5
    assert heard.no_speech_prob < 0.5


@pytest.mark.parametrize("harder", [lambda clip: clip, lambda clip: with_noise(clip, 20, seed=0), by_telephone])
async def test_readers_are_understood_in_spite_of_noise_and_telephones(
    recogniser: WhisperRecogniser, harder: Callable[[Clip], Clip]
) -> None:
    if not SPEECH.is_dir():
        pytest.skip("no recordings: ../shared/speech is absent")
    clips = [harder(clip) for clip in recorded(SPEECH) if len(clip.audio) > 5.2 * 16_000]
    heard = [plain((await recogniser.transcribe(clip.audio, is_final=True)).text) for clip in clips]
    assert jiwer.wer([plain(clip.words) for clip in clips], heard) < 0.12


async def test_a_synthesiser_of_another_house_is_understood(recogniser: WhisperRecogniser) -> None:
    sentence = "Turn left at the market and follow the river."
    assert errors(sentence, await recogniser.transcribe(spoken(sentence), is_final=True)) == 0


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
async def test_every_rate_in_mono_and_stereo_comes_through(
    recogniser: WhisperRecogniser, rate_hz: int, channels: int
) -> None:
    sentence = "Are there any monsters in the cave?"
    mono = resample(spoken(sentence), 16_000, rate_hz)
    pcm = to_pcm(np.repeat(mono[:, None], channels, axis=1).ravel())
    resampler = StreamResampler(rate_hz, 16_000)
    step = rate_hz // 50 * channels * 2
    parts = [resampler.push(from_pcm(pcm[i : i + step], channels)) for i in range(0, len(pcm), step)]
    heard = await recogniser.transcribe(np.concatenate([*parts, resampler.flush()]), is_final=True)
    assert errors(sentence, heard) < 0.2


async def test_partials_grow_towards_the_whole(recogniser: WhisperRecogniser) -> None:
    audio = recording("jfk.flac")
    partials = [await recogniser.transcribe(audio[: int(s * 16_000)], is_final=False) for s in (2.5, 5.5, 8)]
    assert not any(partial.is_final for partial in partials)
    lengths = [len(partial.text.split()) for partial in partials]
    assert lengths == sorted(set(lengths))
    for partial in partials:
        n = len(partial.text.split()) - 1  # the last word may be cut off in the middle
        assert jiwer.wer(JFK.split()[:n], plain(partial.text).split()[:n]) < 0.3


@pytest.mark.parametrize("around", [(), NAMES])
async def test_nobody_speaking_gives_no_text(recogniser: WhisperRecogniser, around: Sequence[str]) -> None:
    rng = np.random.default_rng(0)
    t = np.arange(48_000) / 16_000
    heard = {
        "silence": np.zeros(48_000),
        "hiss": rng.standard_normal(48_000) * 0.05,
        "faint hiss": rng.standard_normal(48_000) * 0.002,
        "a tone": 0.3 * np.sin(2 * np.pi * 440 * t),
        "a chord that swells": sum(0.1 * np.sin(2 * np.pi * hz * t) for hz in (220, 277, 330)) * np.sin(t),
        "hum": 0.2 * np.sin(2 * np.pi * 50 * t) + 0.1 * np.sin(2 * np.pi * 150 * t),
        "a sample": np.full(1, 0.5),
        "nothing at all": np.zeros(0),
    }
    for what, audio in heard.items():
        for is_final in (True, False):
            transcript = await recogniser.transcribe(audio.astype(np.float32), is_final=is_final, around=around)
            assert transcript.text == "", what


def test_names_that_are_around_are_heard_where_they_are_said(models: ModelStore) -> None:
    said = [
        "Have Scaramotto take a bow.",
        "Then give the waterskin to Old Vizier.",
        "Patch seam twelve, and send the crab drone there.",
        "Is the felling axe by the Drowned Goose?",
    ]

    def n_heard(around: Sequence[str]) -> int:
        heard = [text for _, text in hear(said, 3, (12.0,), other_share=0, around=[around] * len(said))]
        return sum(name in text for name in NAMES for text in heard)

    assert n_heard(NAMES) > n_heard(())


async def test_names_that_nobody_says_do_no_harm(recogniser: WhisperRecogniser) -> None:
    heard = await recogniser.transcribe(recording("jfk.flac"), is_final=True, around=NAMES)
    assert plain(heard.text) == JFK


async def test_as_many_names_are_told_of_as_there_is_room_for(recogniser: WhisperRecogniser) -> None:
    audio = recording("jfk.flac")
    many = [*NAMES, *(f"thing number {n}" for n in range(500))]
    assert plain((await recogniser.transcribe(audio, is_final=True, around=many)).text) == JFK
    assert len(recogniser._hint(tuple(many))) <= HINT_TOKENS + 2


async def test_more_than_a_window_is_heard_piece_by_piece_and_what_was_said_twice_stays_so(
    recogniser: WhisperRecogniser,
) -> None:
    audio = recording("jfk.flac")
    heard = await recogniser.transcribe(np.tile(audio, 4), is_final=True)
    assert heard.audio_ms == pytest.approx(44_000)
    assert errors(" ".join([JFK] * 4), heard) < 0.1


async def test_an_utterance_said_twice_by_the_decoder_is_heard_again_with_the_full_window(folder: Path) -> None:
    # Without padding and tail the decoder misses the end of these and begins again.
    worker = Worker("asr-bare")
    bare = WhisperRecogniser(WhisperRecogniser.load(folder, Recognition())._model, "en", worker, 200, tail_ms=0)
    sentences = ["Give me the hammer.", "Show me how to fly.", "Please open the gate.", "Where is the well?"]
    heard = [await bare.transcribe(spoken(sentence), is_final=True) for sentence in sentences]
    worker.close()
    assert "full" in {transcript.window for transcript in heard}
    assert all(transcript.window in ("full", "utterance") for transcript in heard)
    assert errors(" ".join(sentences), Transcript(" ".join(t.text for t in heard), True, 0)) < 0.2


async def test_many_callers_each_get_their_own_words(recogniser: WhisperRecogniser) -> None:
    sentences = ["Give me the hammer.", "Show me how to fly.", "Please open the gate.", "What was your name again?"]
    audio = [spoken(sentence) for sentence in sentences]
    alone = [await recogniser.transcribe(one, is_final=True) for one in audio]
    together = await asyncio.gather(*(recogniser.transcribe(one, is_final=True) for one in audio * 3))
    assert list(together) == alone * 3


async def test_a_final_overtakes_the_partials_that_wait(recogniser: WhisperRecogniser) -> None:
    audio = recording("jfk.flac")
    order: list[str] = []

    async def hear(name: str, is_final: bool) -> None:
        await recogniser.transcribe(audio[:48_000], is_final=is_final)
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for i in range(4):
            tasks.create_task(hear(f"partial {i}", False))
        await asyncio.sleep(0)  # they are in the queue
        tasks.create_task(hear("final", True))
    assert order[0] == "final"


async def test_a_partial_that_is_no_longer_wanted_is_not_computed() -> None:
    class Counting(WhisperRecogniser):
        n_encoded = 0

        def _encode(self, features: Samples) -> object:
            Counting.n_encoded += 1
            return super()._encode(features)

    recogniser = Counting.load(ModelStore().ensure("whisper-tiny.en"), Recognition())
    audio = (np.random.default_rng(0).standard_normal(32_000) * 0.1).astype(np.float32)
    superseded = [asyncio.ensure_future(recogniser.transcribe(audio, is_final=False)) for _ in range(5)]
    last = asyncio.ensure_future(recogniser.transcribe(audio, is_final=True))
    await asyncio.sleep(0)
    for task in superseded:
        task.cancel()
    await last
    results = await asyncio.gather(*superseded, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    recogniser.close()
    assert Counting.n_encoded <= 2  # the final, and at most the one that had begun


async def test_a_multilingual_model_hears_english_and_finds_the_language_out(models: ModelStore) -> None:
    audio = recording("jfk.flac")
    folder = models.ensure("whisper-base")
    for language in ("en", "auto"):
        recogniser = WhisperRecogniser.load(folder, Recognition(model="whisper-base", language=language))
        heard = await recogniser.transcribe(audio, is_final=True)
        recogniser.close()
        assert errors(JFK, heard) < 0.1


async def test_a_language_that_the_model_does_not_know_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"'de' is not known to .* English only"):
        WhisperRecogniser.load(folder, Recognition(language="de"))


def test_a_folder_without_a_model_and_one_with_a_broken_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.bin"):
        WhisperRecogniser.load(tmp_path, Recognition())
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be loaded"):
        WhisperRecogniser.load(tmp_path, Recognition())


async def test_several_workers_hear_the_same_as_one_and_each_caller_gets_its_own(
    recogniser: WhisperRecogniser, folder: Path
) -> None:
    clips = [spoken(f"Please bring me {number} apples from the market.") for number in ("two", "seven", "eleven")]
    alone = [await recogniser.transcribe(clip, is_final=True) for clip in clips]
    shared = WhisperRecogniser.load(folder, Recognition(n_workers=3))
    try:
        together = await asyncio.gather(*(shared.transcribe(clip, is_final=True) for clip in clips * 3))
        partial = await asyncio.gather(*(shared.transcribe(clip, is_final=False) for clip in clips))
    finally:
        shared.close()
    assert together == alone * 3
    assert [each.text for each in partial] == [each.text for each in alone]
