"""Which process the next connection goes to. Pure: numbers in, numbers out."""

from collections.abc import Mapping, Sequence


def shares(n_seats: int, n_workers: int) -> list[int]:
    """Seats of each worker: as equal as can be, and no more in all than there are."""
    return [n_seats // n_workers + (index < n_seats % n_workers) for index in range(n_workers)]


def by_load(n_open: Mapping[int, int], seats: Sequence[int]) -> list[int]:
    """The workers that `n_open` tells connections of, in the order in which they are to be asked.

    Who has the fewest connections comes first. A connection may be a session at any moment, so who has as many as
    it has `seats` comes behind everybody who has not: nobody is refused while another worker has a place.
    """
    return sorted(n_open, key=lambda worker: (n_open[worker] >= seats[worker], n_open[worker], worker))
