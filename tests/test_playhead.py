"""A loudspeaker that plays what it gets, waits where more is late, and stands still when held."""

from hypothesis import given
from hypothesis import strategies as st

from npc.playhead import Playhead

RATE_HZ = 24_000


def test_it_plays_in_real_time_and_no_further_than_it_has() -> None:
    playhead = Playhead(RATE_HZ)
    playhead.sent(24_000, now_ms=100)
    assert playhead.at(100) == 0
    assert playhead.at(600) == 12_000
    assert playhead.at(5000) == 24_000
    assert playhead.due_ms(24_000) == 1100
    assert playhead.due_ms(24_001) is None


def test_a_gap_between_frames_is_no_playback() -> None:
    playhead = Playhead(RATE_HZ)
    playhead.sent(24_000, now_ms=0)
    playhead.sent(48_000, now_ms=3000)
    assert playhead.at(3000) == 24_000
    assert playhead.at(3500) == 36_000


def test_while_held_it_stands_and_then_goes_on_from_there() -> None:
    playhead = Playhead(RATE_HZ)
    playhead.sent(48_000, now_ms=0)
    playhead.hold(500)
    playhead.sent(72_000, now_ms=600)
    assert playhead.at(9000) == 12_000
    assert playhead.due_ms(48_000) is None
    playhead.go_on(9000)
    assert playhead.at(9500) == 24_000


@given(st.lists(st.tuples(st.sampled_from(["send", "hold", "go on", "wait"]), st.integers(1, 2000)), max_size=40))
def test_it_never_goes_back_nor_beyond_what_was_sent(steps: list[tuple[str, int]]) -> None:
    playhead, now_ms, end, before = Playhead(RATE_HZ), 0.0, 0, 0
    for kind, n in steps:
        match kind:
            case "send":
                end += n
                playhead.sent(end, now_ms)
            case "hold":
                playhead.hold(now_ms)
            case "go on":
                playhead.go_on(now_ms)
            case _:
                now_ms += n
        position = playhead.at(now_ms)
        assert before <= position <= end
        before = position
