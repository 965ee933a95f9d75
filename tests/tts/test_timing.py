import numpy as np
import pytest

from npc.tts.estimates import Estimate, spread, word_edges
from npc.tts.reading import Reading, Unit
from npc.tts.sayable import SayableWord
from npc.tts.timing import timed_speech, trimmed
from npc.turn import Samples

RATE_HZ = 24_000


def tone(start_ms: int, end_ms: int, total_ms: int) -> Samples:
    audio = np.zeros(total_ms * RATE_HZ // 1000, np.float32)
    at = slice(start_ms * RATE_HZ // 1000, end_ms * RATE_HZ // 1000)
    audio[at] = np.sin(np.arange(at.stop - at.start) * 0.06).astype(np.float32) * 0.3
    return audio


def reading(*words: tuple[str, str]) -> Reading:
    """Of (visible, phonemes), with a space between words and a full stop at the end."""
    units = [Unit("", 0, None)]
    for index, (_, phonemes) in enumerate(words):
        units += [Unit(symbol, 1, index) for symbol in phonemes] + [Unit(" ", 1, None)]
    units[-1:] = [Unit(".", 1, None), Unit("", 0, None)]
    return Reading(tuple(SayableWord(text, text) for text, _ in words), tuple(units))


def test_phonemes_tile_the_audio_and_words_lie_on_them() -> None:
    read = reading(("oh", "ˈO"), ("no.", "nO"))
    durations = np.array([4, 2, 2, 2, 2, 4, 8, 2]) * 600  # silence ˈ O space n O . silence
    speech = timed_speech("oh no.", read, durations, tone(100, 450, 650), RATE_HZ)
    edges = [p.start_sample for p in speech.phonemes] + [speech.phonemes[-1].end_sample]
    assert edges[0] == 0
    assert edges == sorted(edges)
    assert edges[-1] == len(speech.audio)
    assert [p.symbol for p in speech.phonemes] == ["O", "n", "O", "."]
    assert [w.text for w in speech.words] == ["oh", "no."]
    assert speech.words[0].start_sample == 0
    assert speech.words[0].end_sample == speech.words[1].start_sample == speech.phonemes[1].start_sample
    assert speech.words[1].end_sample == speech.phonemes[2].end_sample


def test_a_unit_sounds_while_the_lengths_say_the_one_before_it() -> None:
    read = reading(
        ("oh", "On"),
    )
    durations = np.array([8, 4, 4, 8, 2]) * 600  # 200 ms, 100 ms, 100 ms …
    speech = timed_speech("oh", read, durations, tone(100, 400, 650), RATE_HZ)
    trimmed_ms = 90  # the onset, less its margin
    assert speech.phonemes[0].end_sample / 24 == pytest.approx(200 + 6 - trimmed_ms, abs=1)


def test_words_without_a_sound_share_the_time_of_their_neighbour() -> None:
    units = (Unit("", 0, None), Unit("O", 1, 1), Unit("n", 1, 3), Unit("", 0, None))
    words = tuple(SayableWord(text, spoken) for text, spoken in [("я", ""), ("ab", "ab"), ("cd", "cd"), ("e", "e")])
    durations = np.array([8, 4, 4, 4]) * 600
    speech = timed_speech("", Reading(words, units), durations, tone(100, 400, 500), RATE_HZ)
    silent, ab, cd, e = speech.words
    assert silent.start_sample == silent.end_sample == 0
    assert ab.end_sample == cd.start_sample == pytest.approx(cd.end_sample / 2, abs=1)
    assert e.start_sample == cd.end_sample


def test_a_full_stop_pauses_longer_than_a_comma_and_a_cut_hardly() -> None:
    gaps = [len(trimmed(tone(100, 400, 1000), RATE_HZ, sign).audio) for sign in ("", ",", ".")]
    assert gaps == sorted(gaps)
    assert gaps[2] - gaps[1] > RATE_HZ * 0.1


def test_trimmed_audio_begins_and_ends_without_a_click() -> None:
    audio = trimmed(np.ones(4800, np.float32), RATE_HZ, "").audio
    assert audio[0] == 0
    assert np.abs(np.diff(audio)).max() < 0.05


def test_silence_stays_as_it_is() -> None:
    assert trimmed(np.zeros(4800, np.float32), RATE_HZ, "").n_sounding == 4800
    assert trimmed(np.zeros(0, np.float32), RATE_HZ, "").n_sounding == 0


def test_tokens_between_spaces_are_words() -> None:
    symbols = ["<BLNK>", "h", "<BLNK>", "i", "<BLNK>", ",", "<BLNK>", " ", "<BLNK>", "y", "o", "."]
    ends = np.arange(1, 13) * 10.0
    assert word_edges(symbols, ends, 2) == [(10, 40), (90, 110)]
    assert word_edges(symbols, ends, 3) is None


def test_estimated_words_come_once_each_and_stay_within_their_piece() -> None:
    estimate = Estimate(["one", "two", "three"], chars_per_s=10, rate_hz=1000)
    pieces = [estimate.next(500), estimate.next(500), estimate.rest(100)]
    assert [[word.text for word in piece] for piece in pieces] == [["one", "two"], ["three"], []]
    assert pieces[0][1].end_sample == 500
    hasty = Estimate(["one", "two", "three"], chars_per_s=10, rate_hz=1000)
    assert [word.text for word in hasty.next(300)] == ["one"]
    assert [word.text for word in hasty.rest(100)] == ["two", "three"]


def test_spread_words_fill_the_time() -> None:
    words = spread(["a", "longer"], 100, 1000)
    assert (words[0].start_sample, words[-1].end_sample) == (100, 1000)
    assert words[0].end_sample == words[1].start_sample == 300
