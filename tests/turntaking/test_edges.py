"""The ends of what may happen at a microphone: scripted conversations; voices, noise, music through the real model."""

import numpy as np
import pytest

from npc.asr.material import SENTENCES, is_installed, spoken
from npc.audio import FRAME_SAMPLES
from npc.config import TurnTaking
from npc.models import ModelStore
from npc.turn import Samples
from npc.turntaking import (
    DetectorEvent,
    Evidence,
    Paused,
    Resumed,
    TurnDetector,
    TurnEnded,
    TurnStarted,
)
from npc.turntaking.vad import SileroVoiceActivity

PER_S = 31.25  # frames
SPEECH, SILENCE = 0.95, 0.02


class Conversation:
    """Feeds a detector; at every pause the evidence that `said` gives is there three frames later."""

    def __init__(self, said: Evidence | None = None, settings: TurnTaking | None = None) -> None:
        self.detector = TurnDetector(settings or TurnTaking())
        self.events: list[DetectorEvent] = []
        self._said = said
        self._n_until_evidence: int | None = None

    def hear(self, probability: float, seconds: float) -> "Conversation":
        for _ in range(round(seconds * PER_S)):
            self.note(self.detector.push(probability, FRAME_SAMPLES))
            if self._n_until_evidence is not None:
                self._n_until_evidence -= 1
                if self._n_until_evidence == 0 and self._said is not None:
                    self.note(self.detector.reconsider(self._said))
        return self

    def note(self, events: tuple[DetectorEvent, ...]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, Paused) and self._said is not None:
                self.note(self.detector.reconsider(Evidence(asked=self._said.asked)))
                self._n_until_evidence = 3
            elif isinstance(event, Resumed | TurnEnded):
                self._n_until_evidence = None

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    @property
    def n_turns(self) -> int:
        return self.kinds.count("TurnEnded")


def test_two_minutes_of_speech_are_one_turn_however_often_it_draws_breath() -> None:
    talk = Conversation(Evidence(transcript="and then I went to the"), TurnTaking(max_utterance_s=180))
    for _ in range(40):
        talk.hear(SPEECH, 2.6).hear(SILENCE, 0.4)
    talk.note(talk.detector.reconsider(Evidence(transcript="That is all that I know about it.")))
    talk.hear(SILENCE, 2)
    assert talk.n_turns == 1
    assert talk.kinds.count("Resumed") == 39
    assert talk.detector.n_heard == pytest.approx(122 * 16_000, rel=0.01)


def test_two_minutes_without_a_breath_end_at_the_longest_utterance_and_lose_nothing() -> None:
    talk = Conversation().hear(SPEECH, 150).hear(SILENCE, 2)
    first, second = (event for event in talk.events if isinstance(event, TurnEnded))
    restart = talk.events[-3]
    assert first.reason == "too-long"
    assert first.at_sample == pytest.approx(120 * 16_000, abs=2 * FRAME_SAMPLES)
    assert isinstance(restart, TurnStarted)
    assert restart.speech_start_sample == first.speech_end_sample
    assert second.reason == "silence"


def test_an_hour_of_silence_is_silence_and_the_next_word_is_heard_in_its_place() -> None:
    talk = Conversation()
    chance = np.random.default_rng(0)
    n_frames = int(3600 * PER_S)
    for probability in chance.beta(1, 30, n_frames):  # what a quiet room gives; a few frames reach the threshold
        talk.note(talk.detector.push(float(probability), FRAME_SAMPLES))
    assert talk.events == []
    talk.hear(SPEECH, 0.5).hear(SILENCE, 1)
    assert talk.kinds == ["TurnStarted", "Paused", "TurnEnded"]
    assert talk.events[0].speech_start_sample == n_frames * FRAME_SAMPLES  # type: ignore[union-attr]


def test_two_utterances_in_quick_succession_are_two_turns_if_the_first_was_over() -> None:
    talk = Conversation(Evidence(transcript="How much is the long sword by the door?"))
    talk.hear(SPEECH, 1.5).hear(SILENCE, 0.45).hear(SPEECH, 1).hear(SILENCE, 1)
    assert talk.n_turns == 2
    ends = [event.speech_end_sample for event in talk.events if isinstance(event, TurnEnded)]
    starts = [event.speech_start_sample for event in talk.events if isinstance(event, TurnStarted)]
    assert starts[0] < ends[0] < starts[1] < ends[1]


def test_the_same_two_utterances_are_one_turn_if_the_first_was_not_over() -> None:
    talk = Conversation(Evidence(transcript="I would like to buy"))
    talk.hear(SPEECH, 1.5).hear(SILENCE, 0.45).hear(SPEECH, 1).hear(SILENCE, 2)
    assert talk.n_turns == 1


def test_speech_right_after_the_turn_ended_is_heard_from_its_first_frame() -> None:
    for gap_s in (0.064, 0.128, 0.192):
        talk = Conversation(Evidence(transcript="How much is the long sword by the door?"))
        talk.hear(SPEECH, 1.5)
        while not talk.n_turns:
            talk.hear(SILENCE, 0.032)
        begun = talk.detector.n_heard + round(gap_s * PER_S) * FRAME_SAMPLES
        talk.hear(SILENCE, gap_s).hear(SPEECH, 0.2)
        assert talk.events[-1] == TurnStarted(begun + 2 * FRAME_SAMPLES, begun)


def test_a_pause_in_mid_word_ends_no_turn() -> None:
    for closure_s in (0.064, 0.128, 0.256, 0.5):
        talk = Conversation(Evidence(transcript="I need some medi-"))
        talk.hear(SPEECH, 1).hear(SILENCE, closure_s).hear(SPEECH, 0.3).hear(SILENCE, 3)
        assert talk.n_turns == 1


def test_a_talk_key_outranks_all_evidence() -> None:
    talk = Conversation(Evidence(transcript="How much is the long sword by the door?", smart_turn=1.0))
    talk.note(talk.detector.hold())
    talk.hear(SPEECH, 1).hear(SILENCE, 5).hear(SPEECH, 1)
    assert talk.kinds == ["TurnStarted"]
    talk.note(talk.detector.end_now())
    assert talk.kinds == ["TurnStarted", "TurnEnded"]


def test_a_talk_key_that_nobody_speaks_into_is_a_turn_without_speech() -> None:
    talk = Conversation()
    talk.note(talk.detector.hold())
    talk.hear(SILENCE, 1)
    talk.note(talk.detector.end_now())
    assert talk.kinds == ["TurnStarted", "TurnEnded"]
    assert talk.events[-1].speech_end_sample >= talk.events[0].speech_start_sample  # type: ignore[union-attr]


# Through the real model


def noise(seconds: float, colour: float, level: float) -> Samples:
    """Noise whose power falls with the frequency to the power of `colour`: 0 white, 1 pink, 2 brown."""
    n = int(seconds * 16_000)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(n))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (colour / 2)
    spectrum[0] = 0
    made = np.fft.irfft(spectrum, n)
    return (level * made / np.sqrt(np.mean(np.square(made)))).astype(np.float32)


def music(seconds: float, level: float) -> Samples:
    """Plucked chords, four a bar, with a drum on every beat."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    beat = t % 0.5
    root = np.array([220.0, 261.6, 196.0, 293.7])[(t // 2).astype(int) % 4]
    chord = sum(np.sin(2 * np.pi * root * ratio * t) / k for ratio in (1, 1.25, 1.5) for k in (1, 2, 3))
    drum = np.random.default_rng(0).standard_normal(len(t)) * np.exp(-40 * beat)
    made = chord * np.exp(-3 * beat) + drum
    return (level * made / np.abs(made).max()).astype(np.float32)


async def listen(models: ModelStore, audio: Samples, endpoint_ms: int = 200) -> list[DetectorEvent]:
    vad = SileroVoiceActivity.load(models.ensure("silero-vad"))
    stream, detector = vad.open(), TurnDetector(TurnTaking(endpoint_ms=endpoint_ms))
    events: list[DetectorEvent] = []
    for at in range(0, len(audio) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        events += detector.push(await stream.push(audio[at : at + FRAME_SAMPLES]), FRAME_SAMPLES)
    vad.close()
    return events


@pytest.mark.real
@pytest.mark.parametrize("colour", [0, 1, 2])
@pytest.mark.parametrize("level", [0.003, 0.03, 0.2])
async def test_no_noise_is_taken_for_a_player(models: ModelStore, colour: float, level: float) -> None:
    assert await listen(models, noise(20, colour, level)) == []


@pytest.mark.real
@pytest.mark.parametrize("level", [0.03, 0.3])
async def test_music_without_a_voice_is_taken_for_nobody(models: ModelStore, level: float) -> None:
    assert await listen(models, music(20, level)) == []


@pytest.mark.real
async def test_a_player_is_heard_over_noise_and_music(models: ModelStore) -> None:
    if not is_installed("flite slt"):
        pytest.skip("flite is not installed")
    voice = spoken("flite slt", "Could you mend this shield before nightfall?")
    level = float(np.sqrt(np.mean(np.square(voice))))
    for background in (noise(6, 1, level / 5), music(6, level / 2)):
        audio = background.copy()
        audio[16_000 : 16_000 + len(voice)] += voice
        started, *_, ended = await listen(models, audio)
        assert isinstance(started, TurnStarted)
        assert isinstance(ended, TurnEnded)
        assert started.speech_start_sample == pytest.approx(16_000, abs=4_800)
        assert ended.speech_end_sample == pytest.approx(16_000 + len(voice), abs=8_000)


def speech(*sentences: str) -> list[Samples]:
    if not is_installed("flite slt"):
        pytest.skip("flite is not installed")
    return [spoken("flite slt", sentence) for sentence in sentences]


@pytest.mark.real
async def test_two_minutes_of_a_voice_with_short_breaths_are_one_turn_from_its_first_word_to_its_last(
    models: ModelStore,
) -> None:
    sentences = speech(*SENTENCES[:20])
    breath = noise(0.1, 1, 1e-3)  # each sentence has a silence of its own at both ends
    said = np.concatenate([part for sentence in sentences * 3 for part in (sentence, breath)])[: 118 * 16_000]
    events = await listen(models, np.concatenate((noise(1, 1, 1e-3), said, noise(3, 1, 1e-3))), endpoint_ms=1000)
    assert [type(event) for event in events if not isinstance(event, Paused | Resumed)] == [TurnStarted, TurnEnded]
    assert events[0].speech_start_sample == pytest.approx(16_000, abs=8_000)  # type: ignore[union-attr]
    assert events[-1].speech_end_sample == pytest.approx(16_000 + len(said), abs=8_000)  # type: ignore[union-attr]


@pytest.mark.real
async def test_after_an_hour_of_a_silent_room_the_first_word_is_heard(models: ModelStore) -> None:
    [greeting] = speech("Good morning, is anybody here?")
    minute = noise(60, 1, 1e-3)
    vad = SileroVoiceActivity.load(models.ensure("silero-vad"))
    stream, detector = vad.open(), TurnDetector(TurnTaking())
    for _ in range(60):
        for frame in minute.reshape(-1, FRAME_SAMPLES):
            assert not detector.push(await stream.push(frame), FRAME_SAMPLES)
    events: list[DetectorEvent] = []
    audio = np.concatenate((greeting, minute[: 2 * 16_000]))
    for at in range(0, len(audio) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        events += detector.push(await stream.push(audio[at : at + FRAME_SAMPLES]), FRAME_SAMPLES)
    vad.close()
    assert isinstance(events[0], TurnStarted)
    assert isinstance(events[-1], TurnEnded)
    assert events[0].speech_start_sample == pytest.approx(3600 * 16_000, abs=8_000)


@pytest.mark.real
async def test_two_utterances_in_quick_succession_are_told_apart(models: ModelStore) -> None:
    first, second = speech("How much is it?", "And who are you?")
    events = await listen(models, np.concatenate((first, noise(0.6, 1, 1e-3), second, noise(2, 1, 1e-3))))
    kinds = [type(event) for event in events if isinstance(event, TurnStarted | TurnEnded)]
    assert kinds == [TurnStarted, TurnEnded] * 2
