"""Rows times matrices, and what is done to rows: loops for numba, which run inside the step's one function.

Activations are rounded to 8 bits, each `GROUP` of a row with a scale of its own.
Products with weights of 4 or 8 bits are then whole numbers, whose sums do not
depend on their order.
"""

from typing import Any

import numba
import numpy as np

from npc.llm.compiled import FAST, compiled
from npc.llm.layout import BF16, INT4, INT4_BYTES, INT8, INT8_BYTES, LANES, PIECE
from npc.llm.simd import carray, floats_at, halves_at, tiles
from npc.llm.team import finish, take, wait

Array = np.ndarray[Any, np.dtype[Any]]  # numba knows the shapes, which the comments give

N_ROWS = 64
"""Rows that go through a tile's weights while these are near."""

_four_1, _four_2, _four_3, _four_4, _four_8 = tiles(4)
_eight_1, _eight_2, _eight_3, _eight_4, _eight_8 = tiles(8)


@numba.njit(inline="always")
def widen(bits: Array, out: Array) -> None:  # bits: [n] uint16; out: [n] float32, written through its bits
    words = out.view(np.uint32)
    for i in range(len(bits)):
        words[i] = np.uint32(bits[i]) << np.uint32(16)


@numba.njit(inline="always")
def round_bits(values: Array, out: Array) -> None:  # values: [n] float32; out: [n] uint16, to nearest, ties to even
    words = values.view(np.uint32)
    for i in range(len(values)):
        word = words[i]
        out[i] = np.uint16((word + np.uint32(0x7FFF) + ((word >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@numba.njit(inline="always")
def exp(values: Array, powers: Array) -> None:
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


@numba.njit(fastmath=FAST | {"nnan"})
def gate(both: Array, powers: Array, n: int, exact: Array, column: int) -> None:
    """both: [≥ n, 2 · PIECE] float32; exact[:n, column : column + PIECE] = silu(its first half) · its second."""
    for r in range(n):
        for i in range(PIECE):
            powers[0, i] = min(-both[r, i], np.float32(80))  # e^80 is still a number
        exp(powers[0], powers[1])
        for i in range(PIECE):
            exact[r, column + i] = both[r, i] / (np.float32(1) + powers[0, i]) * both[r, PIECE + i]


@numba.njit(fastmath=FAST | {"nnan"})
def quantise(exact: Array, rounded: Array, scales: Array, first: int, last: int) -> None:
    """exact [n, n_in] float32 → rounded, int8; scales [n, n_in / 32, 2] float32: of each group, with its sum.

    Of groups `first` to `last`.
    """
    for r in range(len(exact)):
        for group in range(first, last):
            own, out = exact[r, 32 * group : 32 * group + 32], rounded[r, 32 * group : 32 * group + 32]
            highest = np.float32(1e-30)
            for i in range(32):
                highest = max(highest, abs(own[i]))
            inverse = np.float32(127) / highest
            total = np.int32(0)
            for i in range(32):
                level = np.int32(np.rint(own[i] * inverse))
                out[i] = np.int8(level)
                total += level
            scale = highest / np.float32(127)
            scales[r, group, 0] = scale
            scales[r, group, 1] = scale * np.float32(total)


@numba.njit(fastmath=FAST)
def multiply(
    matrix: Array,  # [4] int64: kind, and the addresses of weights, scales, bias
    inputs: tuple[Array, Array, Array],  # [n, n_in] float32; the same in int8, and its scales
    start: int,  # rows of the inputs
    end: int,
    first: int,  # outputs of the matrix; whole tiles
    last: int,
    out: Array,  # [≥ end - start, …] float32
    column: int,  # where output `first` goes
) -> None:
    kind, weights, scales, bias = matrix
    exact, rounded, groups = inputs
    n_in = exact.shape[1]
    if kind == BF16:
        weight = carray(halves_at(weights), (last, n_in))
        _multiply_exactly(weight, exact, start, end, first, last, out, column)
    else:
        n_groups = n_in // 32
        size = (INT4_BYTES if kind == INT4 else INT8_BYTES) * n_groups
        x_stride, g_stride, o_stride = n_in, 8 * n_groups, 4 * out.shape[1]
        for block in range(start, end, N_ROWS):
            stop = min(end, block + N_ROWS)
            for tile in range(first // LANES, -(-last // LANES)):
                at = weights + tile * size
                r = block
                while r < stop:
                    x, g = rounded.ctypes.data + r * x_stride, groups.ctypes.data + r * g_stride
                    o = out.ctypes.data + (r - start) * o_stride + 4 * (column + tile * LANES - first)
                    left = stop - r
                    if kind == INT4:
                        if left >= 8:
                            _four_8(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                        elif left >= 4:
                            _four_4(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                        elif left == 3:
                            _four_3(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                        elif left >= 2:
                            _four_2(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                        else:
                            _four_1(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                    elif left >= 8:
                        _eight_8(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                    elif left >= 4:
                        _eight_4(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                    elif left == 3:
                        _eight_3(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                    elif left >= 2:
                        _eight_2(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                    else:
                        _eight_1(at, x, x_stride, g, g_stride, o, o_stride, n_groups)
                    r += 8 if left >= 8 else min(left, 4)
        if kind == INT8:
            scale = carray(floats_at(scales), last)
            for r in range(end - start):
                for i in range(last - first):
                    out[r, column + i] *= scale[first + i]
    if bias != 0:
        offset = carray(floats_at(bias), last)
        for r in range(end - start):
            for i in range(last - first):
                out[r, column + i] += offset[first + i]


@numba.njit(fastmath=FAST)
def _multiply_exactly(
    weight: Array, exact: Array, start: int, end: int, first: int, last: int, out: Array, column: int
) -> None:
    """bfloat16 weights, [n_out, n_in] bits, a row at a time."""
    row = np.empty(weight.shape[1], np.float32)
    for o in range(first, last):
        widen(weight[o], row)
        for r in range(start, end):
            own = exact[r]
            total = np.float32(0)
            for i in range(len(row)):
                total += own[i] * row[i]
            out[r - start, column + o - first] = total


@compiled
def product(matrix: Array, inputs: Array, out: Array, counters: Array) -> None:
    """out [n, n_out] float32 = inputs [n, n_in] float32 · one packed matrix. counters: [32] int64, zeros."""
    n, n_in = inputs.shape
    n_pieces = -(-out.shape[1] // PIECE)
    # Every thread rounds the rows for itself, which costs less than waiting for another's.
    rows = inputs, np.empty((n, n_in), np.int8), np.empty((n, n_in // 32, 2), np.float32)
    piece = take(counters, 0)
    if piece < n_pieces:
        quantise(*rows, 0, n_in // 32)
    while piece < n_pieces:
        at = piece * PIECE
        multiply(matrix, rows, 0, n, at, min(out.shape[1], at + PIECE), out, at)
        piece = finish(counters, 0)
    wait(counters, 0, n_pieces)
