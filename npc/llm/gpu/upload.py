"""Small arrays between host and device, without either waiting: pinned memory, copies in the order of the work."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_N_COPIES = 4
"""Copies of an array that may be under way: a step sends each at most twice."""


class Upload:
    """`values` is the host's side of `target`, for its owner to change; `send` brings its first rows over."""

    def __init__(self, target: Tensor) -> None:
        self._target = target
        is_pinned = target.device.type == "cuda"
        staged = [torch.zeros(target.shape, dtype=target.dtype, pin_memory=is_pinned) for _ in range(_N_COPIES)]
        self._staged = [(each, each.numpy(), new_event() if is_pinned else None) for each in staged]
        self._turn = 0
        self.values: np.ndarray[Any, np.dtype[Any]] = np.zeros_like(self._staged[0][1])  # of the target's own kind

    def send(self, n: int) -> None:
        # What is being copied must not change: each copy starts from a place of its own.
        tensor, values, is_copied = self._staged[self._turn]
        self._turn = (self._turn + 1) % _N_COPIES
        if is_copied is not None:
            is_copied.synchronize()  # long past, or never begun: nothing to wait for
        values[:n] = self.values[:n]
        self._target[:n].copy_(tensor[:n], non_blocking=True)
        if is_copied is not None:
            is_copied.record()


class Reader:
    """Numbers of `source` [n] for the host, from when the work that was launched so far is done."""

    def __init__(self, source: Tensor) -> None:
        self._source = source
        self._is_cuda = source.device.type == "cuda"
        self._places = [torch.zeros(source.shape, dtype=source.dtype, pin_memory=self._is_cuda) for _ in range(2)]
        self._turn = 0

    def begin(self, n: int) -> list[Callable[[], int]]:
        """What each of the first `n` is. Good until the call after next."""
        place = self._places[self._turn]
        self._turn = 1 - self._turn
        place[:n].copy_(self._source[:n], non_blocking=True)
        read = _Once(place, n, new_event() if self._is_cuda else None)
        return [lambda index=index: read.values()[index] for index in range(n)]  # type: ignore[misc]


class _Once:
    def __init__(self, place: Tensor, n: int, event: "torch.cuda.Event | None") -> None:
        self._place, self._n, self._event = place, n, event
        self._values: list[int] | None = None
        if event is not None:
            event.record()

    def values(self) -> list[int]:
        if self._values is None:
            if self._event is not None:
                self._event.synchronize()  # the one wait of a step
            self._values = self._place[: self._n].tolist()
        return self._values


def new_event(is_timed: bool = False) -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=is_timed)  # type: ignore[no-untyped-call]  # torch gives it no types
