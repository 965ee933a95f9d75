"""Keys and values of one layer, in pages: as they are, or in int8.

A row is what one token leaves: the keys of all key heads, then their values.
"""

import math
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from npc.llm.architecture import Architecture


class LayerCache(Protocol):
    page_size: int

    def write(self, slots: Tensor, rows: Tensor) -> None:
        """slots: [n] int64, page * page_size + offset; rows: [n, kv_size]."""
        ...

    def read(self, pages: Tensor) -> Tensor:
        """pages: [n] int64 → [n, page_size, kv_size]."""
        ...

    def copy_page(self, source: int, target: int) -> None: ...


class DenseCache:
    """In the model's own dtype."""

    def __init__(
        self, arch: Architecture, n_pages: int, page_size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.page_size = page_size
        self.pages = _zeros((n_pages, page_size, arch.kv_size), dtype, device)
        self._rows = self.pages.view(-1, arch.kv_size)

    @cached_property
    def address(self) -> int:
        """Where the rows begin, one after the other."""
        return self.pages.data_ptr()

    def write(self, slots: Tensor, rows: Tensor) -> None:
        self._rows.index_copy_(0, slots, rows)

    def read(self, pages: Tensor) -> Tensor:
        return self.pages.index_select(0, pages)

    def copy_page(self, source: int, target: int) -> None:
        self.pages[target].copy_(self.pages[source])

    @staticmethod
    def token_bytes(arch: Architecture, dtype: torch.dtype) -> int:
        """What one token takes in all layers."""
        return arch.n_layers * arch.kv_size * dtype.itemsize


class Int8Cache:
    """A scale for each token's key and value of each head: half the memory and, in long texts, half the reading."""

    def __init__(
        self, arch: Architecture, n_pages: int, page_size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.page_size = page_size
        self._shape = (2 * arch.n_kv_heads, arch.head_dim)
        self.pages = _zeros((n_pages, page_size, *self._shape), torch.int8, device)
        self.scales = _zeros((n_pages, page_size, self._shape[0], 1), dtype, device)

    def write(self, slots: Tensor, rows: Tensor) -> None:
        heads = rows.view(-1, *self._shape)
        # The scale that is stored is the one that is divided by: its own rounding costs nothing.
        scales = (heads.abs().amax(-1, keepdim=True) / 127).clamp_min_(1e-8)
        rounded = (heads / scales).round_().clamp_(-127, 127).to(torch.int8)
        self.pages.view(-1, *self._shape).index_copy_(0, slots, rounded)
        self.scales.view(-1, self._shape[0], 1).index_copy_(0, slots, scales)

    def read(self, pages: Tensor) -> Tensor:
        scales = self.scales.index_select(0, pages)
        return self.pages.index_select(0, pages).to(scales.dtype).mul_(scales).flatten(2)

    def copy_page(self, source: int, target: int) -> None:
        self.pages[target].copy_(self.pages[source])
        self.scales[target].copy_(self.scales[source])

    @staticmethod
    def token_bytes(arch: Architecture, dtype: torch.dtype) -> int:
        """What one token takes in all layers."""
        return arch.n_layers * (arch.kv_size + 2 * arch.n_kv_heads * dtype.itemsize)


CACHES: dict[str, type[DenseCache | Int8Cache]] = {"bf16": DenseCache, "int8": Int8Cache}
"""By `llm.cache_type`."""


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros, since a masked position's value is multiplied by 0, which leaves NaN as it is.

    On a CPU, numpy's come from the system without being touched: pages take memory only when they are used.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)).view(dtype).view(shape)
