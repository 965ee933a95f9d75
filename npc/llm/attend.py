"""Looking back, for numba: rows of one text and the query heads that share a key head, over pages of the cache."""

from typing import Any

import numba
import numpy as np

from npc.llm.compiled import FAST
from npc.llm.kernels import exp, widen
from npc.llm.layout import LANES
from npc.llm.simd import blends, dot, panels

Array = np.ndarray[Any, np.dtype[Any]]  # numba knows the shapes, which the comments give

_panel_1, _panel_8 = panels(1), panels(8)
_blend_1, _blend_4 = blends(1), blends(4)
_N_MANY = 8
"""Queries from which on they lie side by side in vectors; fewer lie along them."""


@numba.njit(inline="always")
def turn(head: Array, cos: Array, sin: Array) -> None:
    """Rotary position of one head [dim], in place; `sin` carries the sign of rotate-half."""
    half = len(head) // 2
    for i in range(half):
        low, high = head[i], head[i + half]
        head[i] = low * cos[i] + high * sin[i]
        head[i + half] = high * cos[i + half] + low * sin[i + half]


@numba.njit(fastmath=FAST)
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
    """out[:, of these heads] = softmax(queries · keys / √dim) · values, each row over its own past."""
    n_queries = len(positions) * n_heads
    begin = max(0, positions[0] - window + 1) // page_size * page_size if window > 0 else 0
    if n_queries < _N_MANY:
        _attend_few(rows, head, n_heads, key_at, value_at, dim, cache, page_size, table, positions, window, begin, out)
    else:
        _attend_many(rows, head, n_heads, key_at, value_at, dim, cache, page_size, table, positions, window, begin, out)


@numba.njit(fastmath=FAST | {"nnan"})
def _soften(scores: Array, powers: Array, scale: np.float32) -> None:
    """[n] float32 each → their softmax times `scale`, in place."""
    highest = scores[0]
    for p in range(len(scores)):
        highest = max(highest, scores[p])
    for p in range(len(scores)):
        scores[p] = (scores[p] - highest) * scale
    exp(scores, powers)
    total = np.float32(0)
    for p in range(len(scores)):
        total += scores[p]
    inverse = np.float32(1) / total
    for p in range(len(scores)):
        scores[p] *= inverse


@numba.njit(fastmath=FAST)
def _attend_few(
    rows: Array,
    head: int,
    n_heads: int,
    key_at: int,
    value_at: int,
    dim: int,
    cache: Array,
    page_size: int,
    table: Array,
    positions: Array,
    window: int,
    begin: int,
    out: Array,
) -> None:
    longest = positions[-1] + 1 - begin
    scores, powers = np.empty(longest, np.float32), np.empty(longest, np.float32)
    scale = np.float32(1.0 / np.sqrt(dim))
    stride = cache.strides[0]
    for r in range(len(positions)):
        last = positions[r]
        first = max(0, last - window + 1) if window > 0 else 0
        for g in range(head, head + n_heads):
            query, sums = rows[r, g * dim : (g + 1) * dim], out[r, g * dim : (g + 1) * dim]
            for page in range(first // page_size, last // page_size + 1):
                at = page * page_size
                keys = cache.ctypes.data + table[page] * page_size * stride + 2 * key_at
                for p in range(max(first, at), min(last + 1, at + page_size)):
                    scores[p - begin] = dot(query.ctypes.data, keys + (p - at) * stride, dim)
            _soften(scores[first - begin : last + 1 - begin], powers, scale)
            sums[:] = 0
            for page in range(first // page_size, last // page_size + 1):
                at = page * page_size
                low, high = max(first, at), min(last + 1, at + page_size)
                values = cache.ctypes.data + (table[page] * page_size + low - at) * stride + 2 * value_at
                weights = scores.ctypes.data + 4 * (low - begin)
                column = 0
                while column < dim:
                    to, of = sums.ctypes.data + 4 * column, values + 2 * column
                    if dim - column >= 4 * LANES:
                        _blend_4(to, weights, of, stride, high - low)
                        column += 4 * LANES
                    else:
                        _blend_1(to, weights, of, stride, high - low)
                        column += LANES


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
def _attend_many(
    rows: Array,
    head: int,
    n_heads: int,
    key_at: int,
    value_at: int,
    dim: int,
    cache: Array,
    page_size: int,
    table: Array,
    positions: Array,
    window: int,
    begin: int,
    out: Array,
) -> None:
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
    sums = np.empty((width, dim), np.float32)
    _product(scores, 4, scores.strides[0], values, n_keys, sums)
    for q in range(n * n_heads):
        r, g = q // n_heads, head + q % n_heads
        for i in range(dim):
            out[r, g * dim + i] = sums[q, i] / totals[q]
