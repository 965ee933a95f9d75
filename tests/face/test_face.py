import numpy as np
import pytest

from npc.face import FRAME_RATE_HZ, Face
from npc.face.blendshapes import BLENDSHAPES, INDEX, emotion_pose
from npc.feeling.emotions import EMOTIONS, PLAIN, coloured, mix_of, valence_arousal
from npc.tts.voices import VOICES, timbre_of
from npc.turn import Phoneme, Speech, Voice

RATE_HZ = 24_000
STEP = 2_400


def speech(symbols: str) -> Speech:
    own = tuple(Phoneme(symbol, n * STEP, (n + 1) * STEP) for n, symbol in enumerate(symbols))
    return Speech(symbols, np.zeros(len(symbols) * STEP, np.float32), RATE_HZ, (), own)


def test_there_are_arkits_fifty_two() -> None:
    assert len(set(BLENDSHAPES)) == 52
    assert BLENDSHAPES[0] == "eyeBlinkLeft"
    assert BLENDSHAPES[-1] == "tongueOut"


def test_clauses_join_on_one_grid_without_a_frame_twice_or_missing() -> None:
    face, start, frames = Face(RATE_HZ), 0, []
    for symbols in ("hɛlO,", "maI", "fɹɛnd."):
        clause = speech(symbols)
        cut = Speech(clause.text, clause.audio[:-777], RATE_HZ, (), clause.phonemes)
        track = face.clause(cut, start)
        frames += list(range(track.first_frame, track.first_frame + track.n_frames))
        start += len(cut.audio)
    assert frames == list(range(len(frames)))
    assert len(frames) == -(-start * FRAME_RATE_HZ // RATE_HZ)


def test_a_jaw_that_is_open_closes_for_lips_that_meet() -> None:
    track = Face(RATE_HZ).clause(speech("ɑpɑ"), 0)
    opening = track.blendshapes[:, INDEX["jawOpen"]] - track.blendshapes[:, INDEX["mouthClose"]]
    assert opening[3] > 0.35
    assert opening[7:9].min() < 0.05


def test_an_emotion_fades_in_and_gives_way_to_the_next() -> None:
    face = Face(RATE_HZ)
    face.feel("joy", 1.0, 0)
    smile = face.clause(speech(" " * 10), 0).blendshapes[:, INDEX["mouthSmileLeft"]]
    assert smile[0] < 0.05
    assert smile[30] == pytest.approx(0.6, abs=0.02)
    assert np.abs(np.diff(smile)).max() < 0.1
    face.feel("angry", 1.0, 10 * STEP)
    later = face.clause(speech(" " * 10), 10 * STEP).blendshapes
    assert later[0, INDEX["mouthSmileLeft"]] == pytest.approx(0.6, abs=0.05)
    assert later[-1, INDEX["mouthSmileLeft"]] < 0.05
    assert later[-1, INDEX["browDownLeft"]] > 0.6


def test_a_smile_does_not_part_lips_that_must_meet() -> None:
    face = Face(RATE_HZ)
    face.feel("joy", 1.0, -RATE_HZ)
    track = face.clause(speech("ɑpɑ"), 0)
    smile = track.blendshapes[:, INDEX["mouthSmileLeft"]]
    assert smile[8] < 0.15 < smile[2]


def test_an_emotion_that_nobody_knows_shows_nothing_and_a_characters_own_shows_its_mix() -> None:
    face = Face(RATE_HZ, own={"hangry": {"anger": 1.0}})
    face.feel("hangry", 1.0, -RATE_HZ)
    assert face.clause(speech("  "), 0).blendshapes[-1, INDEX["browDownLeft"]] > 0.7
    face.feel("no_such", 1.0, 0)
    assert face.clause(speech(" " * 10), 0).blendshapes[-1, INDEX["browDownLeft"]] == 0


def test_eyes_blink_every_few_seconds_and_equal_seeds_alike() -> None:
    def blinks(seed: int) -> np.ndarray:
        face = Face(RATE_HZ, seed=seed)
        tracks = [face.clause(speech(" " * 10), n * 10 * STEP) for n in range(30)]
        shut = np.concatenate([track.blendshapes[:, INDEX["eyeBlinkLeft"]] for track in tracks])
        return np.flatnonzero((shut[1:] > 0.5) & (shut[:-1] <= 0.5))

    assert 5 <= len(blinks(1)) <= 16
    assert (blinks(1) == blinks(1)).all()
    assert list(blinks(1)) != list(blinks(2))


def test_eyes_turn_both_to_the_side_that_they_are_told() -> None:
    face = Face(RATE_HZ)
    face.look(15, -15, 0)
    last = face.clause(speech("  "), 0).blendshapes[-1]
    for name in ("eyeLookOutRight", "eyeLookInLeft", "eyeLookDownLeft", "eyeLookDownRight"):
        assert last[INDEX[name]] == pytest.approx(0.5)
    assert last[INDEX["eyeLookOutLeft"]] == last[INDEX["eyeLookUpLeft"]] == 0


def test_curves_are_coefficients_and_pack_into_bytes() -> None:
    face = Face(RATE_HZ)
    face.feel("surprised", 1.0, -RATE_HZ)
    track = face.clause(speech("wOmæpsɑ"), 0)
    assert track.blendshapes.min() >= 0
    assert track.blendshapes.max() <= 1
    assert len(track.packed()) == track.n_frames * 52


@pytest.mark.parametrize("name", sorted(EMOTIONS))
def test_every_emotion_is_made_of_plain_ones_and_differs_from_rest(name: str) -> None:
    mix = mix_of(name)
    assert set(mix) <= set(PLAIN)
    assert all(0 < share <= 1 for share in mix.values())
    assert (emotion_pose(mix).max() > 0.05) == (name != "neutral")


def test_aroused_speech_is_quicker_and_higher_and_low_spirits_slower() -> None:
    plain = Voice("gruff", 1.0, 1.0)
    angry, sad = coloured(plain, mix_of("angry")), coloured(plain, mix_of("sad"))
    assert angry.speed > 1 > sad.speed
    assert angry.pitch > 1 > sad.pitch
    assert coloured(plain, mix_of("angry"), 0) == plain
    assert valence_arousal({"joy": 1.0, "anger": 1.0})[1] == 1.0, "kept within"


@pytest.mark.parametrize("voice", sorted(VOICES))
def test_every_voice_bears_every_emotion(voice: str) -> None:
    for name in EMOTIONS:
        timbre_of(coloured(Voice(voice), mix_of(name)))


def test_a_voice_at_the_end_of_what_it_bears_stays_as_it_is() -> None:
    lowest = Voice("deep", pitch=0.9)
    assert coloured(lowest, mix_of("sad")) == lowest
    assert coloured(lowest, mix_of("joy")) != lowest
