"""The recent past of a stream, addressed by sample position.

A session appends every frame, forgets what lies before its preroll while
nobody speaks, and cuts utterances out once the turn detector names their
start and end.
"""

import numpy as np

from npc.turn import Samples


class Recording:
    def __init__(self) -> None:
        self._kept = np.empty(16_000, np.float32)
        self._first = 0
        self._n = 0

    @property
    def first_sample(self) -> int:
        """The oldest sample that is still kept."""
        return self._first

    @property
    def end_sample(self) -> int:
        """One past the newest."""
        return self._first + self._n

    def append(self, samples: Samples) -> None:
        needed = self._n + len(samples)
        if needed > len(self._kept):
            self._kept = np.concatenate((self._kept[: self._n], np.empty(needed, np.float32)))
        self._kept[self._n : needed] = samples
        self._n = needed

    def forget_before(self, sample: int) -> None:
        """Drop what lies before `sample`; positions of the rest stay."""
        n_dropped = min(max(sample - self._first, 0), self._n)
        if n_dropped:
            self._kept[: self._n - n_dropped] = self._kept[n_dropped : self._n].copy()
            self._first += n_dropped
            self._n -= n_dropped

    def cut(self, start: int, end: int | None = None) -> Samples:
        """A copy of [start, end), [n]; what is forgotten or not there yet is left out."""
        end = self.end_sample if end is None else end
        lo = min(max(start - self._first, 0), self._n)
        hi = min(max(end - self._first, lo), self._n)
        return self._kept[lo:hi].copy()
