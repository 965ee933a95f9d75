"""On the real synthesiser: lips meet when the audio's own closure does."""

import asyncio

import numpy as np
import pytest

from npc.config import Speaking
from npc.face.closure import closures
from npc.face.lips import heard_closures
from npc.profile.face import SENTENCES, run_face_profile
from npc.tts.hibari import HibariSynthesiser
from npc.turn import Phoneme, Speech, Voice

RATE_HZ = 24_000


def test_the_edges_of_a_closure_are_heard_where_the_sound_stops() -> None:
    rng = np.random.default_rng(0)
    audio = rng.normal(0, 0.1, RATE_HZ).astype(np.float32)
    audio[10_000:11_440] *= 0.001  # 60 ms, beginning 417 ms in
    phonemes = (Phoneme("ɑ", 0, 10_300), Phoneme("p", 10_300, 11_800), Phoneme("ɑ", 11_800, RATE_HZ))
    ((n, (start, end)),) = heard_closures(Speech("", audio, RATE_HZ, (), phonemes)).items()
    assert n == 1
    assert abs(start - 10_000) < 150
    assert abs(end - 11_440) < 150


def test_a_sound_without_edges_is_left_to_its_phonemes_time() -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    phonemes = (Phoneme("ɑ", 0, 10_300), Phoneme("p", 10_300, 11_800), Phoneme("ɑ", 11_800, RATE_HZ))
    speech = Speech("", audio, RATE_HZ, (), phonemes)
    assert heard_closures(speech) == {}
    assert closures(speech, {}) == []


@pytest.mark.real
def test_lips_meet_within_twenty_milliseconds_of_the_audio() -> None:
    synthesiser = HibariSynthesiser.load(Speaking())
    try:
        report = run_face_profile(synthesiser, SENTENCES[1::2], n_rounds=3)["closures"]
    finally:
        synthesiser.close()
    assert report["n"] >= 100
    assert report["within_20_ms"] >= 0.9
    assert report["median_ms"] <= 8


@pytest.mark.real
def test_a_whole_reply_has_a_face_for_every_frame_of_its_audio() -> None:
    from npc.face import Face

    async def spoken(synthesiser: HibariSynthesiser) -> list[Speech]:
        return [part async for part in synthesiser.speak("Hello there, my friend! Mind the step.", Voice("gruff"))]

    synthesiser = HibariSynthesiser.load(Speaking())
    try:
        parts = asyncio.run(spoken(synthesiser))
    finally:
        synthesiser.close()
    face = Face(RATE_HZ)
    n_frames = sum(face.clause(part, 0).n_frames for part in parts)
    seconds = sum(len(part.audio) for part in parts) / RATE_HZ
    assert abs(n_frames - 60 * seconds) <= len(parts)
