"""What a decoder says is believed only where it could have been spoken."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npc.asr.trust import (
    MAX_TOKENS,
    Decoded,
    compression_ratio,
    first_saying,
    is_doubtful,
    is_silence,
    is_stuck,
    token_limit,
)


def decoded(
    tokens: tuple[int, ...] = (1, 2, 3),
    text: str = "ten of clubs",
    logprob: float = -0.2,
    no_speech: float = 0.1,
    reached_limit: bool = False,
) -> Decoded:
    return Decoded(tokens, text, logprob, no_speech, reached_limit)


def test_a_plain_sentence_is_trusted() -> None:
    assert not is_doubtful(decoded())
    assert not is_silence(decoded())


@pytest.mark.parametrize(
    ("tokens", "n_first"),
    [
        ((7, 8, 9, 7, 8, 9), 3),  # said twice
        ((7, 8, 9, 4, 7, 8), 4),  # begun a second time
        ((7, 8, 9, 7, 8, 9, 7, 8, 9, 7), 3),  # and a third
        ((1, 2, 5, 5, 5, 5, 5, 5, 5, 5), 3),  # stuck on a word behind others
        ((1, 3, 5, 6, 5, 6, 5, 6, 5, 6), 4),  # and on two
    ],
)
def test_what_follows_the_first_saying_is_cut(tokens: tuple[int, ...], n_first: int) -> None:
    assert first_saying(tokens) == n_first
    assert is_doubtful(decoded(tokens))


@pytest.mark.parametrize(
    "tokens",
    [
        (5, 5),  # five five
        (4, 4, 4),  # no no no
        (1, 2, 3, 4, 1),  # a sentence may end on its first word
        (1, 2, 1, 2, 3),
        (9, 1, 2, 3, 1, 2, 3),  # said twice for emphasis, behind something else
        (),
    ],
)
def test_people_repeat_themselves_too(tokens: tuple[int, ...]) -> None:
    assert first_saying(tokens) == len(tokens)
    assert not is_doubtful(decoded(tokens))


def test_what_is_said_twice_is_doubted_but_over_and_over_it_is_not_said_at_all() -> None:
    twice, over_and_over = decoded((7, 8, 9) * 2), decoded((7, 8, 9) * 4)
    assert is_doubtful(twice)
    assert not is_stuck(twice)
    assert is_stuck(over_and_over)


@given(st.lists(st.integers(0, 5), max_size=40))
@example([1, 1, 0, 1, 1, 1, 1])
def test_the_first_saying_of_the_first_saying_is_itself(tokens: list[int]) -> None:
    n = first_saying(tokens)
    assert 0 <= n <= len(tokens)
    once = tokens[:n]
    assert first_saying(once) == len(once)


def test_a_text_that_compresses_too_well_is_doubted() -> None:
    text = "and so on, " * 20
    assert compression_ratio(text) > 2.4
    assert is_doubtful(decoded(text=text))
    assert compression_ratio("") == 0


def test_a_decoder_that_had_to_be_stopped_is_stuck() -> None:
    assert is_stuck(decoded(reached_limit=True))


def test_an_improbable_text_is_doubted_and_is_silence_where_nobody_seems_to_speak() -> None:
    assert is_doubtful(decoded(logprob=-1.2))
    assert not is_silence(decoded(logprob=-1.2))
    assert is_silence(decoded(logprob=-1.2, no_speech=0.9))
    assert not is_silence(decoded(logprob=-0.3, no_speech=0.9))  # Whisper doubts the speech, but is sure of the words


def test_the_longer_the_audio_the_more_may_be_said_up_to_what_whisper_can_hold() -> None:
    limits = [token_limit(seconds) for seconds in (0.1, 1, 5, 28, 300)]
    assert limits == sorted(limits)
    assert limits[0] >= 10
    assert limits[-1] == MAX_TOKENS
