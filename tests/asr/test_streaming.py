"""The transcript of an utterance that goes on: what is stable, what is heard again, and what it costs."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import jiwer
import numpy as np
import pytest

from npc.asr.material import recorded
from npc.asr.streaming import LONGEST_TAIL_S, StreamingTranscript
from npc.asr.whisper import WhisperRecogniser
from npc.audio.files import read_audio
from npc.config import Recognition
from npc.models import ModelStore
from npc.turn import Samples, Transcript

SPEECH = Path(__file__).parents[3] / "shared" / "speech"
WORD_S = 0.5


class Counting:
    """Hears a word every half second, the loudness of which says which one it is; the newest as "eh?"."""

    def __init__(self) -> None:
        self.n_samples = 0
        self.asked: list[tuple[int, bool]] = []

    async def transcribe(self, audio: Samples, *, is_final: bool, around: Sequence[str] = ()) -> Transcript:
        await asyncio.sleep(0)
        self.n_samples += len(audio)
        self.asked.append((len(audio), is_final))
        starts = np.nonzero(np.diff(np.concatenate(([0], audio > 0.005)).astype(int)) == 1)[0]
        levels = [float(audio[start : start + 3200].max()) for start in starts]
        words = [f"w{round(level * 1000)}" for level in levels]
        if not is_final and words:
            words[-1] = "eh?"
        return Transcript(" ".join(words), is_final, len(audio) / 16, mean_logprob=-0.3, no_speech_prob=0.1)


def counted(n: int) -> Samples:
    """Word k is 0.3 s at the level k / 1000 (from 10), then 0.2 s of silence."""
    words = [np.r_[np.full(4800, (10 + k) / 1000), np.zeros(3200)] for k in range(n)]
    return np.concatenate(words).astype(np.float32)


def text(n: int) -> str:
    return " ".join(f"w{10 + k}" for k in range(n))


async def test_words_are_stable_once_two_hearings_agree() -> None:
    streaming, audio = StreamingTranscript(Counting()), counted(6)
    first = await streaming.update(audio[: 3 * 8000])
    assert (first.text, first.stable, first.is_final) == ("w10 w11 eh?", "", False)
    second = await streaming.update(audio[: 5 * 8000])
    assert (second.text, second.stable) == ("w10 w11 w12 w13 eh?", "w10 w11")


async def test_case_and_punctuation_do_not_unsettle_a_word() -> None:
    class Scripted:
        texts = iter(["Well, I", "well I came", "Well I came. From"])

        async def transcribe(self, audio: Samples, *, is_final: bool, around: Sequence[str] = ()) -> Transcript:
            return Transcript(next(self.texts), is_final, 1000)

    streaming = StreamingTranscript(Scripted())
    stable = [(await streaming.update(np.zeros(16_000, np.float32))).stable for _ in range(3)]
    assert stable == ["", "well I", "Well I came."]


async def test_a_short_utterance_is_heard_whole_at_its_end() -> None:
    recogniser, audio = Counting(), counted(16)
    streaming = StreamingTranscript(recogniser)
    for n in range(2, 17, 2):
        await streaming.update(audio[: n * 8000])
    final = await streaming.finish(audio)
    assert recogniser.asked[-1] == (len(audio), True)
    assert final.text == final.stable == text(16)
    assert final.is_final


async def test_the_end_of_a_long_utterance_costs_only_its_tail() -> None:
    recogniser, audio = Counting(), counted(80)
    streaming = StreamingTranscript(recogniser)
    for n in range(1, 81):
        heard = await streaming.update(audio[: n * 8000])
        assert heard.text.startswith(heard.stable)
    final = await streaming.finish(audio)
    assert final.text == text(80)
    assert recogniser.asked[-1][0] <= LONGEST_TAIL_S * 16_000
    assert final.audio_ms == 40_000


async def test_two_minutes_cost_twice_as_much_as_one() -> None:
    work = []
    for minutes in (1, 2):
        recogniser = Counting()
        streaming, audio = StreamingTranscript(recogniser), counted(120 * minutes)
        for n in range(1, 120 * minutes + 1):
            await streaming.update(audio[: n * 8000])
        work.append(recogniser.n_samples)
    assert math.isclose(work[1] / work[0], 2, rel_tol=0.1)


async def test_settled_speech_is_never_heard_again() -> None:
    recogniser, audio = Counting(), counted(60)
    streaming = StreamingTranscript(recogniser)
    await streaming.update(audio)
    n_final = sum(n for n, is_final in recogniser.asked if is_final)
    assert n_final == streaming.n_settled_samples > 20 * 16_000
    recogniser.asked.clear()
    await streaming.update(audio)
    assert recogniser.asked == [(len(audio) - streaming.n_settled_samples, False)]


async def test_a_cancelled_update_leaves_the_transcript_whole() -> None:
    streaming, audio = StreamingTranscript(Counting()), counted(50)
    for n_steps in range(1, 8):
        task = asyncio.ensure_future(streaming.update(audio))
        for _ in range(n_steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (await streaming.finish(audio)).text == text(50)


async def test_a_pause_may_be_taken_for_the_end_and_the_utterance_go_on() -> None:
    streaming, audio = StreamingTranscript(Counting()), counted(12)
    await streaming.update(audio[: 4 * 8000])
    assert (await streaming.finish(audio[: 5 * 8000])).text == text(5)
    await streaming.update(audio[: 10 * 8000])
    assert (await streaming.finish(audio)).text == text(12)


async def test_silence_is_an_empty_transcript() -> None:
    final = await StreamingTranscript(Counting()).finish(np.zeros(0, np.float32))
    assert (final.text, final.stable, final.audio_ms) == ("", "", 0)


@pytest.mark.real
async def test_people_are_understood_as_well_in_pieces_as_in_one(models: ModelStore) -> None:
    if not SPEECH.is_dir():
        pytest.skip("no recordings: ../shared/speech is absent")
    recogniser = WhisperRecogniser.load(models.ensure("whisper-tiny.en"), Recognition())
    clips = [clip for clip in recorded(SPEECH) if len(clip.audio) > 2.9 * 16_000]
    pause = np.zeros(8_000, np.float32)
    audio = np.concatenate([part for clip in clips for part in (clip.audio, pause)])  # 41 s
    said = " ".join(clip.words for clip in clips)
    streaming = StreamingTranscript(recogniser)
    for end in range(32_000, len(audio), 32_000):
        await streaming.update(audio[:end])
    in_pieces = await streaming.finish(audio)
    in_one = await recogniser.transcribe(audio, is_final=True)
    recogniser.close()
    assert streaming.n_settled_samples > len(audio) - LONGEST_TAIL_S * 16_000
    assert errors(said, in_pieces) <= errors(said, in_one) + 0.03


@pytest.mark.real
async def test_what_was_called_stable_stays(models: ModelStore) -> None:
    if not SPEECH.is_dir():
        pytest.skip("no recordings: ../shared/speech is absent")
    recogniser = WhisperRecogniser.load(models.ensure("whisper-tiny.en"), Recognition())
    audio, _ = read_audio(SPEECH / "jfk.flac", 16_000)
    streaming = StreamingTranscript(recogniser)
    stable = [(await streaming.update(audio[:end])).stable for end in range(12_800, len(audio), 12_800)]
    final = (await streaming.finish(audio)).text
    recogniser.close()
    for text in stable:
        n = len(text.split())
        assert n == 0 or jiwer.wer(plain(text), " ".join(plain(final).split()[:n])) < 0.25


def errors(said: str, heard: Transcript) -> float:
    return jiwer.wer(plain(said), plain(heard.text))


def plain(text: str) -> str:
    return "".join(sign for sign in text.lower().replace("-", " ") if sign.isalpha() or sign == " ")
