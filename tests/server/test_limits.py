import pytest

from npc.server.codes import Refusal
from npc.server.limits import Bucket, Seats


class Clock:
    ms = 0.0

    def now_ms(self):
        return self.ms


def test_a_bucket_takes_its_capacity_at_once_and_then_what_leaks():
    clock = Clock()
    bucket = Bucket(capacity=3, leak_per_s=10, clock=clock)
    assert [bucket.pour() for _ in range(4)] == [True, True, True, False]
    clock.ms = 99
    assert not bucket.pour()
    clock.ms = 101
    assert bucket.pour()
    assert not bucket.pour()


def test_a_bucket_saves_nothing_up_while_it_is_empty():
    clock = Clock()
    bucket = Bucket(capacity=2, leak_per_s=1, clock=clock)
    clock.ms = 1e6
    assert [bucket.pour() for _ in range(3)] == [True, True, False]


def test_audio_in_real_time_never_fills_its_bucket_and_twice_as_fast_does():
    clock = Clock()
    bucket = Bucket(capacity=2, leak_per_s=1, clock=clock)
    for frame in range(10_000):
        clock.ms = frame * 20
        assert bucket.pour(0.02)
    fast = Bucket(capacity=2, leak_per_s=1, clock=clock)
    accepted_s = 0.0
    while fast.pour(0.02):
        accepted_s += 0.02
        clock.ms += 10
    assert accepted_s == pytest.approx(4, abs=0.1)


def test_a_seat_is_given_back_even_after_an_error():
    seats = Seats(1)
    with pytest.raises(RuntimeError), seats.take():
        raise RuntimeError
    with seats.take(), pytest.raises(Refusal, match="all 1 sessions"), seats.take():
        pass
    assert seats.n_taken == 0
