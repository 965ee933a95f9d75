"""Looking back, for numba: rows of one text and the query heads that share a key head, over pages of the cache."""

from typing import Any

import numba
import numpy as np

from npc.llm.compiled import FAST
from npc.llm.kernels import exp, widen
from npc.llm.layout import LANES
from npc.llm.simd import panels

Array = np.ndarray[Any, np.dtype[Any]]  # numba knows the shapes, which the comments give

_panel_1, _panel_8 = panels(1), panels(8)


@numba.njit(inline="always")
def turn(head: Array, cos: Array, sin: Array) -> None:
    """Rotary position of one head [dim], in place; `sin` carries the sign of rotate-half."""
    half = len(head) // 2
    for i in range(half):
        low, high = head[i], head[i + half]
        head[i] = low * cos[i] + high * sin[i]
        head[i + half] = high * cos[i + half] + low * sin[i + half]


@numba.njit(inline="always")
def _product(a: Array, a_stride: int, a_step: int, b: Array, n: int, out: Array) -> None:
    """out = a @ b, float32: b and out have whole vectors of columns; `a` may be seen from its side."""
    b_stride, o_stride = b.strides[0], out.strides[0]
    for column in range(0, out.shape[1], LANES):
        r = 0
        while r < out.shape[0]:
            at, to = a.ctypes.data + r * a_stride, out.ctypes.data + r * o_stride + 4 * column
            if out.shape[0] - r >= 8:
                _panel_8(at, a_stride, a_step, b.ctypes.data + 4 * column, b_stride, to, o_stride, n)
                r += 8
            else:
                _panel_1(at, a_stride, a_step, b.ctypes.data + 4 * column, b_stride, to, o_stride, n)
                r += 1


@numba.njit(fastmath=FAST | {"nnan"})
def attend(
    rows: Array,  # [n, n_heads · dim] float32: rotated queries
    head: int,  # the first of the query heads
    n_heads: int,  # how many of them, which share a key head
    key_at: int,  # where in a token's row of the cache its key and its value begin
    value_at: int,
    dim: int,
    cache: Array,  # [slots, kv_size] bits
    page_size: int,
    table: Array,  # [n_pages] int64
    positions: Array,  # [n] int64, one after the other
    window: int,
    out: Array,  # [n, n_heads · dim] float32
) -> None:
    """out[:, of these heads] = softmax(queries · keys / √dim) · values, each row over its own past.

    Queries lie side by side in vectors, each summed up alone: a row's result is the same to the bit in any company,
    which is what lets drafted replies be the plain ones.
    """
    begin = max(0, positions[0] - window + 1) // page_size * page_size if window > 0 else 0
    n = len(positions)
    width = -(-n * n_heads // LANES) * LANES
    n_keys = positions[-1] + 1 - begin
    queries = np.zeros((dim, width), np.float32)  # every query is a column
    ends = np.zeros(width, np.int32)
    for q in range(n * n_heads):
        r, g = q // n_heads, head + q % n_heads
        ends[q] = positions[r] - begin
        for i in range(dim):
            queries[i, q] = rows[r, g * dim + i]
    keys, values = np.empty((n_keys, dim), np.float32), np.empty((n_keys, dim), np.float32)
    for p in range(n_keys):
        at = begin + p
        row = cache[table[at // page_size] * page_size + at % page_size]
        widen(row[key_at : key_at + dim], keys[p])
        widen(row[value_at : value_at + dim], values[p])
    scores = np.empty((n_keys, width), np.float32)
    _product(keys, keys.strides[0], 4, queries, dim, scores)
    # What a query may not see becomes less than what it sees could ever be.
    highest, totals = np.full(width, np.float32(-1e30)), np.zeros(width, np.float32)
    powers = np.empty(width, np.float32)
    first_end = positions[0] - begin
    for p in range(n_keys):
        own = scores[p]
        if p > first_end or window > 0:
            for q in range(width):
                is_seen = p <= ends[q] and (window == 0 or p > ends[q] - window)
                own[q] = own[q] if is_seen else np.float32(-1e30)
        for q in range(width):
            highest[q] = max(highest[q], own[q])
    scale = np.float32(1.0 / np.sqrt(dim))
    for p in range(n_keys):
        own = scores[p]
        for q in range(width):
            own[q] = (own[q] - highest[q]) * scale
        exp(own, powers)
        for q in range(width):
            totals[q] += own[q]
    sums = np.empty((-(-n * n_heads // 8) * 8, dim), np.float32)  # whole panels
    _product(scores, 4, scores.strides[0], values, n_keys, sums)
    for q in range(n * n_heads):
        r, g = q // n_heads, head + q % n_heads
        for i in range(dim):
            out[r, g * dim + i] = sums[q, i] / totals[q]
