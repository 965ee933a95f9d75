"""When a turn begins, may be over, goes on and is over: as conversations of probabilities, and as properties of any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.config import TurnTaking
from npc.turntaking import DetectorEvent, Evidence, Lull, Paused, Resumed, TurnDetector, TurnEnded, TurnStarted
from npc.turntaking.detector import END_LAG_MS, Patience

FRAME = 512
FRAME_MS = 32


def run(script: str, settings: TurnTaking | None = None, patience: Patience | None = None) -> list[DetectorEvent]:
    """One character a frame: '#' speech, '~' between the thresholds, '.' silence, '!' the talk key is released,
    '(' it is pressed."""
    detector = TurnDetector(settings or TurnTaking(), patience)
    events: list[DetectorEvent] = []
    for sign in script.replace(" ", ""):
        match sign:
            case "!":
                events += detector.end_now()
            case "(":
                events += detector.hold()
            case _:
                events += detector.push({"#": 0.9, "~": 0.4, ".": 0.05}[sign], FRAME)
    return events


def kinds(events: list[DetectorEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


# Conversations


def test_a_sentence_is_a_turn_that_pauses_once_and_ends() -> None:
    assert kinds(run("..... ########## ..........")) == ["TurnStarted", "Paused", "TurnEnded"]


def test_a_turn_starts_where_its_first_frame_did_and_is_sure_after_start_ms() -> None:
    started = run("..... ####")[0]
    assert started == TurnStarted(at_sample=7 * FRAME, speech_start_sample=5 * FRAME)


def test_the_turn_ends_after_endpoint_ms_counted_from_the_true_last_sound() -> None:
    ended = run("########## ..........")[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.speech_end_sample == 10 * FRAME - END_LAG_MS * 16
    silence_ms = (ended.at_sample - ended.speech_end_sample) / 16
    assert 200 <= silence_ms < 200 + FRAME_MS


def test_the_reply_may_be_begun_before_the_turn_is_over() -> None:
    _, paused, ended = run("########## ..........")
    assert isinstance(paused, Paused)
    assert isinstance(ended, TurnEnded)
    assert paused.speech_end_sample == ended.speech_end_sample
    assert 64 <= (paused.at_sample - paused.speech_end_sample) / 16 < 64 + FRAME_MS
    assert paused.at_sample < ended.at_sample


def test_going_on_after_a_pause_takes_the_pause_back() -> None:
    assert kinds(run("##### .. ##### ........")) == ["TurnStarted", "Paused", "Resumed", "Paused", "TurnEnded"]


def test_a_gap_shorter_than_pause_ms_is_no_pause() -> None:
    assert kinds(run("##### . ##### . #####", TurnTaking(pause_ms=96))) == ["TurnStarted"]


def test_a_click_starts_no_turn() -> None:
    assert run("..... # ........ # .......") == []


def test_a_click_in_a_pause_neither_resumes_nor_prolongs_the_turn() -> None:
    with_click, without = run("##### ... # ....."), run("##### ..........")
    assert kinds(with_click) == ["TurnStarted", "Paused", "TurnEnded"]
    assert with_click[-1].speech_end_sample == without[-1].speech_end_sample  # type: ignore[union-attr]


def test_speech_that_begins_just_before_the_end_keeps_the_turn() -> None:
    # the sixth silent frame would end it; the burst before holds the decision until it is known for speech
    assert kinds(run("##### .... ## ...")) == ["TurnStarted", "Paused", "Resumed", "Paused"]


def test_a_short_yes_is_a_turn() -> None:
    assert kinds(run("### ........")) == ["TurnStarted", "Paused", "TurnEnded"]


def test_speech_goes_on_below_the_threshold_that_it_had_to_cross() -> None:
    assert kinds(run("#### ~~~~~~~~~~")) == ["TurnStarted"]
    assert run("~~~~~~~~~~") == []


def test_a_patience_that_waits_longer_is_asked_at_every_silent_frame() -> None:
    asked: list[Lull] = []

    def patience(lull: Lull) -> float:
        asked.append(lull)
        return 500.0 if lull.speech_ms < 1000 else 100.0

    short = run("##### ................", patience=patience)[-1]
    assert (short.at_sample - short.speech_end_sample) / 16 >= 500  # type: ignore[union-attr]
    assert [lull.silence_ms for lull in asked] == sorted(lull.silence_ms for lull in asked)
    long = run("#" * 40 + "......", patience=patience)[-1]
    assert isinstance(long, TurnEnded)
    assert (long.at_sample - long.speech_end_sample) / 16 < 100 + FRAME_MS


def test_an_endless_utterance_is_cut_and_the_next_turn_follows_at_once() -> None:
    events = run("#" * 100, TurnTaking(max_utterance_s=1))
    ended = [event for event in events if isinstance(event, TurnEnded)]
    started = [event for event in events if isinstance(event, TurnStarted)]
    assert {event.reason for event in ended} == {"too-long"}
    for first, following in zip(ended, started[1:], strict=False):
        assert first.speech_end_sample == first.at_sample == following.speech_start_sample  # not a sample is lost
    assert len(ended) == 3


def test_even_endless_patience_ends_at_the_longest_utterance() -> None:
    events = run("###" + "." * 60, TurnTaking(max_utterance_s=1), lambda _: float("inf"))
    assert kinds(events) == ["TurnStarted", "Paused", "TurnEnded"]


def test_letting_go_of_the_talk_key_ends_the_turn_without_waiting() -> None:
    ended = run("##### !")[-1]
    assert ended == TurnEnded(5 * FRAME, 5 * FRAME, "released")


def test_letting_go_in_a_pause_ends_at_the_last_sound() -> None:
    ended = run("##### ... !")[-1]
    assert ended == TurnEnded(8 * FRAME, 5 * FRAME - END_LAG_MS * 16, "released")


def test_letting_go_right_after_a_sound_began_still_makes_a_turn() -> None:
    assert kinds(run("... # !")) == ["TurnStarted", "TurnEnded"]


def test_letting_go_in_silence_means_nothing() -> None:
    assert run("..... !") == []


def test_a_held_key_bridges_any_pause() -> None:
    assert kinds(run("( .. #### .................... #### !")) == ["TurnStarted", "TurnEnded"]


def test_a_key_pressed_in_a_pause_resumes_the_turn() -> None:
    assert kinds(run("##### ... ( ........ !")) == ["TurnStarted", "Paused", "Resumed", "TurnEnded"]


def test_a_released_key_leaves_the_next_turn_to_the_voice() -> None:
    assert kinds(run("( ### ! ...... ##### ........")) == [
        "TurnStarted",
        "TurnEnded",
        "TurnStarted",
        "Paused",
        "TurnEnded",
    ]


def test_reset_forgets_the_turn_but_not_where_the_stream_is() -> None:
    detector = TurnDetector(TurnTaking())
    for _ in range(5):
        detector.push(0.9, FRAME)
    detector.reset()
    assert not detector.is_in_turn
    assert detector.n_heard == 5 * FRAME
    assert detector.speech_ms == 0
    assert detector.push(0.05, FRAME) == ()


def test_the_length_of_the_speech_so_far_can_be_asked() -> None:
    detector = TurnDetector(TurnTaking())
    for probability in [0.05, *[0.9] * 5]:
        detector.push(probability, FRAME)
    assert detector.speech_ms == 5 * FRAME_MS
    for _ in range(3):
        detector.push(0.05, FRAME)
    assert detector.is_paused
    assert detector.speech_ms == pytest.approx(5 * FRAME_MS - END_LAG_MS)


# Evidence that arrives in a pause


def paused(settings: TurnTaking | None = None) -> TurnDetector:
    detector = TurnDetector(settings or TurnTaking())
    for probability in [0.9] * 10 + [0.05] * 2:
        detector.push(probability, FRAME)
    assert detector.is_paused
    return detector


def silence_until_the_end(detector: TurnDetector, events: tuple[DetectorEvent, ...] = ()) -> float:
    for _ in range(200):
        for event in events:
            assert isinstance(event, TurnEnded)
            return (event.at_sample - event.speech_end_sample) / 16
        events = detector.push(0.05, FRAME)
    raise AssertionError("the turn never ended")


def test_a_wait_that_is_set_in_a_pause_replaces_the_settings() -> None:
    detector = paused()
    assert detector.set_wait(500) == ()
    assert 500 <= silence_until_the_end(detector) < 500 + FRAME_MS


def test_a_wait_that_has_passed_ends_the_turn_at_once() -> None:
    detector = paused()
    detector.set_wait(1000)
    for _ in range(10):
        assert detector.push(0.05, FRAME) == ()
    (ended,) = detector.set_wait(300)
    assert ended == TurnEnded(22 * FRAME, 10 * FRAME - END_LAG_MS * 16)
    assert not detector.is_in_turn
    assert detector.set_wait(0) == ()


def test_evidence_decides_how_long_the_pause_may_be() -> None:
    waits = {}
    for said in ("How much is the long sword by the door?", "I would like to buy"):
        detector = paused()
        detector.reconsider(Evidence())
        waits[said] = silence_until_the_end(detector, detector.reconsider(Evidence(transcript=said)))
    whole, open_ended = waits.values()
    assert whole < 400
    assert open_ended > 1000


def test_the_wait_of_one_pause_is_not_that_of_the_next() -> None:
    detector = paused()
    detector.set_wait(5000)
    for probability in [0.9] * 5 + [0.05] * 2:
        detector.push(probability, FRAME)
    assert detector.is_paused
    assert 200 <= silence_until_the_end(detector) < 200 + FRAME_MS


def test_evidence_that_comes_when_the_player_has_gone_on_does_nothing() -> None:
    detector = paused()
    for _ in range(3):
        detector.push(0.9, FRAME)
    assert detector.reconsider(Evidence(transcript="Yes.")) == ()
    assert detector.is_in_turn
    assert not detector.is_paused


def test_a_sound_that_may_be_speech_holds_the_end_back_until_it_is_known() -> None:
    detector = paused()
    detector.set_wait(1000)
    detector.push(0.9, FRAME)
    assert detector.set_wait(0) == ()
    assert kinds(list(detector.push(0.9, FRAME))) == ["Resumed"]


# Whatever is heard

frames = st.lists(
    st.one_of(
        st.tuples(st.floats(0, 1), st.integers(1, 2000)),
        st.sampled_from([(0.9, FRAME), (0.05, FRAME), (None, 0), (None, 1)]),
    ),
    max_size=300,
)
LEGAL: dict[type[DetectorEvent] | None, set[type[DetectorEvent]]] = {
    None: {TurnStarted},
    TurnEnded: {TurnStarted},
    TurnStarted: {Paused, TurnEnded},
    Paused: {Resumed, TurnEnded},
    Resumed: {Paused, TurnEnded},
}


def play(heard: list[tuple[float | None, int]], settings: TurnTaking) -> list[DetectorEvent]:
    detector = TurnDetector(settings)
    events: list[DetectorEvent] = []
    for probability, n in heard:
        if probability is None:
            events += detector.hold() if n else detector.end_now()
        else:
            events += detector.push(probability, n)
        assert all(event.at_sample <= detector.n_heard for event in events)
    return events


@given(frames, st.sampled_from([TurnTaking(), TurnTaking(max_utterance_s=1), TurnTaking(speech_threshold=0.2)]))
def test_events_follow_each_other_legally_and_never_go_back_in_time(
    heard: list[tuple[float | None, int]], settings: TurnTaking
) -> None:
    last: type[DetectorEvent] | None = None
    at = start = end = 0
    for event in play(heard, settings):
        assert type(event) in LEGAL[last]
        assert event.at_sample >= at
        last, at = type(event), event.at_sample
        match event:
            case TurnStarted(speech_start_sample=sample):
                assert end <= sample <= at  # turns do not overlap
                start = sample
            case Paused(speech_end_sample=sample) | TurnEnded(speech_end_sample=sample):
                assert start <= sample <= at
                end = sample
            case Resumed():
                pass


@given(st.lists(st.tuples(st.floats(0, 0.499), st.integers(1, 2000)), max_size=300))
def test_nothing_below_the_threshold_starts_a_turn(heard: list[tuple[float | None, int]]) -> None:
    assert play(heard, TurnTaking()) == []


@given(frames)
def test_two_seconds_of_silence_end_whatever_was_going_on(heard: list[tuple[float | None, int]]) -> None:
    events = play([*heard, (None, 0), *[(0.01, FRAME)] * 63], TurnTaking())
    assert not events or isinstance(events[-1], TurnEnded)


@given(st.integers(2, 60), st.integers(0, 60), st.integers(1, FRAME))
def test_the_end_is_told_the_same_however_the_stream_began(n_speech: int, n_before: int, first: int) -> None:
    quiet = [(0.01, first), *[(0.01, FRAME)] * n_before]
    events = play([*quiet, *[(0.9, FRAME)] * n_speech, *[(0.01, FRAME)] * 20], TurnTaking())
    offset = first + n_before * FRAME
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.speech_end_sample - offset == max(n_speech * FRAME - END_LAG_MS * 16, 0)
