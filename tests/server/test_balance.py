"""Who gets the next connection, and how many sessions each worker may have."""

import pytest

from npc.server.codes import Refusal
from npc.server.workers.balance import by_load, shares
from npc.server.workers.seats import WorkerSeats
from npc.server.workers.tally import Tally


@pytest.mark.parametrize(
    ("n_seats", "n_workers", "expected"), [(64, 4, [16, 16, 16, 16]), (7, 3, [3, 2, 2]), (1, 2, [1, 0]), (5, 1, [5])]
)
def test_seats_are_shared_out_and_none_is_made_up(n_seats, n_workers, expected):
    assert shares(n_seats, n_workers) == expected


@pytest.mark.parametrize(
    ("n_open", "expected"),
    [
        ({0: 0, 1: 0, 2: 0}, [0, 1, 2]),
        ({0: 2, 1: 1, 2: 0}, [2, 1, 0]),
        ({0: 1, 2: 0}, [2, 0]),
        ({0: 4, 1: 3, 2: 9}, [1, 0, 2]),
        ({}, []),
    ],
)
def test_who_has_the_fewest_is_asked_first(n_open, expected):
    assert by_load(n_open, [4, 4, 4]) == expected


def test_who_is_full_is_asked_last_even_with_the_fewest():
    assert by_load({0: 2, 1: 3}, [2, 4]) == [1, 0]


def test_sessions_that_come_and_go_stay_even():
    n_open = dict.fromkeys(range(4), 0)
    for number in range(40):
        n_open[by_load(n_open, [16] * 4)[0]] += 1
        if number % 4 == 3:
            n_open[number // 4 % 4] -= 1
    assert max(n_open.values()) - min(n_open.values()) <= 1


def test_a_worker_refuses_beyond_its_part_and_tells_of_the_whole():
    tally = Tally(2)
    first, second = (WorkerSeats(3, tally, worker) for worker in range(2))
    with first.take(), second.take():
        assert (first.n_taken, second.n_taken, first.n_seats) == (2, 2, 3)
        with pytest.raises(Refusal, match="all 3 sessions of this server"), second.take():
            pass
        with first.take():
            assert second.n_taken == 3
    assert first.n_taken == 0
