"""Cuts a stream of any chunk sizes into frames of equal length, losing and inventing no sample."""

from dataclasses import dataclass

import numpy as np

from npc.turn import Samples

FRAME_SAMPLES = 512
"""32 ms at 16 kHz: what voice activity takes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """`samples` [size]; `first_sample` counts from the start of the stream."""

    samples: Samples
    first_sample: int

    @property
    def end_sample(self) -> int:
        return self.first_sample + len(self.samples)


class Framer:
    def __init__(self, size: int = FRAME_SAMPLES) -> None:
        self._size = size
        self._rest = np.empty(0, np.float32)
        self._n_framed = 0

    @property
    def n_waiting(self) -> int:
        """Samples that do not fill a frame yet."""
        return len(self._rest)

    @property
    def n_samples(self) -> int:
        """All samples pushed so far."""
        return self._n_framed + self.n_waiting

    def push(self, samples: Samples) -> list[Frame]:
        """The frames that `samples` [n] complete, in order; none where they complete none."""
        stream = np.concatenate((self._rest, samples)) if self.n_waiting else np.array(samples, np.float32)
        n_whole = len(stream) // self._size
        frames = [
            Frame(stream[i * self._size : (i + 1) * self._size], self._n_framed + i * self._size)
            for i in range(n_whole)
        ]
        self._n_framed += n_whole * self._size
        self._rest = stream[n_whole * self._size :].copy()
        return frames

    def flush(self) -> Frame | None:
        """The samples that wait, made up to a frame with silence; the stream then starts anew behind them."""
        if not self.n_waiting:
            return None
        frame = Frame(np.pad(self._rest, (0, self._size - self.n_waiting)), self._n_framed)
        self._n_framed += self.n_waiting
        self._rest = np.empty(0, np.float32)
        return frame
