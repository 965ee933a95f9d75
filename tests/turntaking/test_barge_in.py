"""What is an interruption, and what only shows that somebody listens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.config import TurnTaking
from npc.turntaking.barge_in import BACKCHANNEL_MS, OVER_MS, Overlap, Reaction, is_backchannel, react

SETTINGS = TurnTaking()


def reaction(
    speech_ms: float, transcript: str | None = None, is_over: bool = False, silence_ms: float = OVER_MS
) -> Reaction:
    return react(Overlap(speech_ms, silence_ms if is_over else 0, transcript), SETTINGS)


def test_silence_changes_nothing() -> None:
    assert reaction(0) == "go-on"
    assert reaction(0, is_over=True) == "go-on"


def test_what_may_be_a_voice_hushes_the_character_until_it_is_none() -> None:
    assert react(Overlap(0, onset_ms=SETTINGS.barge_in_ms), SETTINGS) == "hush"
    assert react(Overlap(0, onset_ms=0), SETTINGS) == "go-on"


def test_signs_of_a_voice_never_interrupt_nor_outlast_a_voice_that_is_over() -> None:
    assert react(Overlap(0, onset_ms=5000), SETTINGS) == "hush"
    assert react(Overlap(300, OVER_MS, "okay", onset_ms=500), SETTINGS) == "go-on"


def test_a_voice_hushes_the_character_before_anybody_knows_what_it_says() -> None:
    assert reaction(SETTINGS.barge_in_ms) == "hush"


def test_a_character_can_be_set_to_speak_on_longer() -> None:
    bold = TurnTaking(barge_in_ms=300)
    assert react(Overlap(150), bold) == react(Overlap(0, onset_ms=150), bold) == "go-on"
    assert react(Overlap(0, onset_ms=320), bold) == react(Overlap(320), bold) == "hush"


@pytest.mark.parametrize("said", ["Mm-hm.", "okay", "Yeah, yeah.", "Uh-huh", "Oh, I see.", "Right.", "Hmm..."])
def test_a_backchannel_is_spoken_over_once_it_is_over(said: str) -> None:
    assert is_backchannel(said)
    assert reaction(400, said) == "hush"
    assert reaction(400, said, is_over=True) == "go-on"


@pytest.mark.parametrize("sound", ["(coughs)", "[cough]", "*laughs*", "", " ... "])
def test_a_cough_is_no_interruption(sound: str) -> None:
    assert reaction(350, sound, is_over=True) == "go-on"


@pytest.mark.parametrize("said", ["Stop!", "Wait a moment", "No.", "But how much is it?", "Okay, but where", "Hey"])
def test_words_that_say_something_interrupt_at_once(said: str) -> None:
    assert reaction(200, said) == "interrupt"
    assert reaction(200, said, is_over=True) == "interrupt"


def test_a_voice_that_goes_on_interrupts_though_nothing_is_recognised_yet() -> None:
    assert reaction(BACKCHANNEL_MS) == "interrupt"
    assert reaction(BACKCHANNEL_MS + 500, is_over=True) == "interrupt"


def test_a_long_noise_without_words_is_no_interruption_once_it_is_over() -> None:
    assert reaction(2000, "", is_over=True) == "go-on"


def test_a_short_sound_that_ended_unrecognised_is_spoken_over() -> None:
    assert reaction(300, is_over=True) == "go-on"


@given(st.floats(0, 5000), st.none() | st.text(max_size=40))
def test_the_longer_a_voice_lasts_the_firmer_the_reaction(speech_ms: float, transcript: str | None) -> None:
    order = ["go-on", "hush", "interrupt"]
    now, later = reaction(speech_ms, transcript), reaction(speech_ms + 100, transcript)
    assert order.index(now) <= order.index(later)
    if transcript is None:
        assert order.index(reaction(speech_ms)) >= order.index(reaction(speech_ms, is_over=True))


@pytest.mark.parametrize("said", [None, "", "okay"])
def test_a_reply_is_not_taken_up_between_two_words(said: str | None) -> None:
    assert reaction(300, said, is_over=True, silence_ms=OVER_MS - 1) == "hush"
    assert reaction(300, said, is_over=True) == "go-on"
