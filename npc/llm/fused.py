"""A step of a few rows on a CPU: between the big matrices, three compiled loops instead of thirty small kernels.

A reply's token is so little work that torch spends as long on launching
kernels as on reading the weights. Here numba compiles what lies between the
linear layers; bfloat16, which numba does not know, is handled as its bits.
The torch network in `model.py` computes the same and is the test of it.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from torch import Tensor

from npc.llm.cache import DenseCache, LayerCache

if TYPE_CHECKING:
    from npc.llm.model import Batch, Transformer

Array = np.ndarray[Any, np.dtype[Any]]  # numba knows the shapes, which the comments give

_MADV_DONTNEED = 4
N_ROWS = 16
N_LOOKED_AT = 6144
"""Positions that all rows together may look back at: beyond, torch's attention on all cores is quicker."""


class FusedStep:
    """Runs a `Transformer` in bfloat16 on rows of which there are few."""

    def __init__(self, model: "Transformer") -> None:
        self._model = model
        cos, sin = model.arch.rotary.tables(model.arch.head_dim, model.n_positions)
        self._cos, self._sin = cos[:, 0].numpy(), sin[:, 0].numpy()
        self._none = np.zeros(0, np.float32)

    @staticmethod
    def suits(model: "Transformer") -> bool:
        return model.device.type == "cpu" and model.dtype == torch.bfloat16

    def fits(self, batch: "Batch", cache: Sequence[LayerCache]) -> bool:
        n_rows = batch.ids.shape[0]
        return (
            n_rows <= N_ROWS
            and isinstance(cache[0], DenseCache)
            and sum(group.pages.numel() * group.n_queries for group in batch.groups) * cache[0].page_size <= N_LOOKED_AT
        )

    def forward(self, batch: "Batch", cache: Sequence[LayerCache]) -> Tensor | None:
        """As `Transformer.forward`."""
        model, arch = self._model, self._model.arch
        n = batch.ids.shape[0]
        hidden = model.embedding[batch.ids].float().numpy()
        normed = torch.empty(n, arch.hidden_size, dtype=torch.bfloat16)
        attended = torch.empty(n, arch.q_size, dtype=torch.bfloat16)
        gated = torch.empty(n, arch.intermediate_size, dtype=torch.bfloat16)
        normed_bits, attended_bits, gated_bits = _bits(normed), _bits(attended), _bits(gated)
        added = np.zeros((n, arch.hidden_size), np.uint16)
        tables, slots, positions = _tables(batch), batch.slots.numpy(), batch.positions.numpy()
        cos, sin = self._cos[positions], self._sin[positions]
        still = np.ones_like(cos), np.zeros_like(sin)
        for index, layer in enumerate(model.layers):
            _add_norm(hidden, added, layer.attention_norm.scaled, layer.attention_norm.floor, normed_bits)
            own = cache[index]
            if not isinstance(own, DenseCache):
                raise TypeError(f"{type(own).__name__} has no rows to look at")
            _attend(
                _bits(layer.qkv(normed)),
                *((cos, sin) if arch.rotates[index] else still),
                layer.q_norm.scaled if layer.q_norm else self._none,
                layer.k_norm.scaled if layer.k_norm else self._none,
                layer.q_norm.floor if layer.q_norm else 0.0,
                own.bits,
                slots,
                tables,
                positions,
                arch.windows[index],
                arch.n_heads,
                arch.n_kv_heads,
                attended_bits,
            )
            added = _bits(layer.out(attended))
            _add_norm(hidden, added, layer.mlp_norm.scaled, layer.mlp_norm.floor, normed_bits)
            _gate(_bits(layer.gate_up(normed)), gated_bits)
            added = _bits(layer.down(gated))
        if batch.wanted is None:
            return None
        _add_norm(hidden, added, model.norm.scaled, model.norm.floor, normed_bits)
        return model.head(normed[batch.wanted])


def forget_compiler() -> None:
    """Let go of the pages of LLVM's code: 90 MB that the system reads back from the file if they are asked for again.

    On Linux; elsewhere nothing happens.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for line in maps.read_text().splitlines():
        span, access, *rest = line.split(maxsplit=5)
        if access == "r-xp" and rest[-1].endswith("libllvmlite.so"):
            start, end = (int(address, 16) for address in span.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _bits(x: Tensor) -> Array:
    """bfloat16 → its bits, uint16, of the same memory."""
    bits: Array = x.view(torch.uint16).numpy()
    return bits


def _tables(batch: "Batch") -> Array:
    """[n, n_pages] int64: the pages of each row's text; what a short text lacks is never looked at."""
    tables = np.zeros((batch.ids.shape[0], max(group.pages.shape[1] for group in batch.groups)), np.int64)
    for group in batch.groups:
        rows = slice(group.start, group.start + group.n_sequences * group.n_queries)
        tables[rows, : group.pages.shape[1]] = np.repeat(group.pages.numpy(), group.n_queries, 0)
    return tables


_FAST = {"reassoc", "contract", "arcp", "nsz"}


@numba.njit(inline="always")
def _widen(bits: Array, out: Array) -> None:  # bits: [n] uint16; out: [n] float32, written through its bits
    words = out.view(np.uint32)
    for i in range(len(bits)):
        words[i] = np.uint32(bits[i]) << np.uint32(16)


@numba.njit(inline="always")
def _round(values: Array, out: Array) -> None:  # values: [n] float32; out: [n] uint16, to nearest, ties to even
    words = values.view(np.uint32)
    for i in range(len(values)):
        word = words[i]
        out[i] = np.uint16((word + np.uint32(0x7FFF) + ((word >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@numba.njit(inline="always")
def _exp(values: Array, powers: Array) -> None:
    """values [n] float32 → their exponentials, to 3 parts in a million: written so that it runs in vectors.

    e^x = 2^k · 2^f with |f| ≤ ½, the second by its series. powers: [n] float32, room for the first.
    """
    words = powers.view(np.uint32)
    for i in range(len(values)):
        y = max(values[i] * np.float32(1.44269504), np.float32(-126))
        k = np.floor(y + np.float32(0.5))
        f = y - k
        words[i] = np.uint32(np.int32(k) + np.int32(127)) << np.uint32(23)
        series = np.float32(0.0096181291) + f * np.float32(0.0013333558)
        series = np.float32(0.2402265070) + f * (np.float32(0.0555041087) + f * series)
        values[i] = np.float32(1) + f * (np.float32(0.6931471806) + f * series)
    for i in range(len(values)):
        values[i] *= powers[i]


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _add_norm(hidden: Array, added: Array, weight: Array, floor: float, out: Array) -> None:
    """hidden [n, h] float32 += added [n, h]; out [n, h] = its RMS norm. `weight` carries √h, `floor` is h·eps."""
    n, h = hidden.shape
    row = np.empty(h, np.float32)
    for r in range(n):
        own = hidden[r]
        _widen(added[r], row)
        square = np.float32(0)
        for i in range(h):
            own[i] += row[i]
            square += own[i] * own[i]
        scale = np.float32(1.0 / np.sqrt(square + floor))
        for i in range(h):
            row[i] = own[i] * weight[i] * scale
        _round(row, out[r])


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _gate(gate_up: Array, out: Array) -> None:
    """gate_up: [n, 2·m]; out: [n, m] = silu(gate) · up."""
    n, m = out.shape
    both, row, powers = np.empty(2 * m, np.float32), np.empty(m, np.float32), np.empty(m, np.float32)
    for r in range(n):
        _widen(gate_up[r], both)
        for i in range(m):
            row[i] = min(-both[i], np.float32(80))  # e^80 is still a number
        _exp(row, powers)
        for i in range(m):
            row[i] = both[i] / (np.float32(1) + row[i]) * both[m + i]
        _round(row, out[r])


@numba.njit(inline="always")
def _norm_head(head: Array, weight: Array, floor: float) -> None:
    if len(weight) == 0:
        return
    square = np.float32(0)
    for i in range(len(head)):
        square += head[i] * head[i]
    scale = np.float32(1.0 / np.sqrt(square + floor))
    for i in range(len(head)):
        head[i] *= weight[i] * scale


@numba.njit(inline="always")
def _turn(head: Array, cos: Array, sin: Array, turned: Array) -> None:
    """Rotary position of one head [dim] → turned; `sin` carries the sign of rotate-half."""
    dim = len(head)
    half = dim // 2
    for i in range(half):
        turned[i] = head[i] * cos[i] + head[i + half] * sin[i]
        turned[i + half] = head[i + half] * cos[i + half] + head[i] * sin[i + half]


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _attend(
    qkv: Array,  # [n, (n_heads + 2·n_kv) · dim] bits
    cos: Array,  # [n, dim] float32
    sin: Array,
    q_weight: Array,  # [dim] float32, or [0] where heads are not normed
    k_weight: Array,
    floor: float,
    cache: Array,  # [n_pages, page_size, 2 · n_kv · dim] bits
    slots: Array,  # [n] int64
    tables: Array,  # [n, n_pages] int64
    positions: Array,  # [n] int64
    window: int,
    n_heads: int,
    n_kv: int,
    out: Array,  # [n, n_heads · dim] bits
) -> None:
    """Rotate, remember, look back. Rows of one text see each other: all are remembered before any looks."""
    n, size = qkv.shape[0], cache.shape[1]
    dim = qkv.shape[1] // (n_heads + 2 * n_kv)
    per_kv = n_heads // n_kv
    head, other = np.empty(dim, np.float32), np.empty(dim, np.float32)
    for r in range(n):
        row = cache[slots[r] // size, slots[r] % size]
        for h in range(n_kv):
            at = (n_heads + h) * dim
            _widen(qkv[r, at : at + dim], head)
            _norm_head(head, k_weight, floor)
            _turn(head, cos[r], sin[r], other)
            _round(other, row[h * dim : (h + 1) * dim])
        row[n_kv * dim :] = qkv[r, (n_heads + n_kv) * dim :]
    queries, sums = np.empty((n_heads, dim), np.float32), np.empty((n_heads, dim), np.float32)
    scores = np.empty((n_heads, tables.shape[1] * size), np.float32)
    powers = np.empty(scores.shape[1], np.float32)
    scale = np.float32(1.0 / np.sqrt(dim))
    for r in range(n):
        last = positions[r]
        first = max(0, last - window + 1) if window > 0 else 0
        for h in range(n_heads):
            _widen(qkv[r, h * dim : (h + 1) * dim], head)
            _norm_head(head, q_weight, floor)
            _turn(head, cos[r], sin[r], queries[h])
            for i in range(dim):
                queries[h, i] *= scale
                sums[h, i] = 0
        # Positions outside, heads inside: the cache is read in the order in which it lies in memory.
        for p in range(first, last + 1):
            row = cache[tables[r, p // size], p % size]
            for h in range(n_kv):
                _widen(row[h * dim : (h + 1) * dim], head)
                for g in range(h * per_kv, (h + 1) * per_kv):
                    score = np.float32(0)
                    for i in range(dim):
                        score += queries[g, i] * head[i]
                    scores[g, p] = score
        for h in range(n_heads):
            own = scores[h, first : last + 1]
            highest = own[0]
            for p in range(len(own)):
                highest = max(highest, own[p])
            for p in range(len(own)):
                own[p] -= highest
            _exp(own, powers)
            total = np.float32(0)
            for p in range(len(own)):
                total += own[p]
            for p in range(len(own)):
                own[p] /= total
        for p in range(first, last + 1):
            row = cache[tables[r, p // size], p % size]
            for h in range(n_kv):
                _widen(row[(n_kv + h) * dim : (n_kv + h + 1) * dim], head)
                for g in range(h * per_kv, (h + 1) * per_kv):
                    weight = scores[g, p]
                    for i in range(dim):
                        sums[g, i] += weight * head[i]
        for h in range(n_heads):
            _round(sums[h], out[r, h * dim : (h + 1) * dim])
