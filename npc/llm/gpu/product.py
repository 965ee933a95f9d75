"""Triton: a few rows times a matrix of 4, 8 or 16 bits, with what stands before and after it in the network.

Before: RMSNorm; that of a single row is found in the same pass over the inputs,
its divisor applied to the sums. After: bias, the residual sum, or silu(gate) · up. One row
is multiplied by plain arithmetic, with the warps side by side along the inputs,
so that a program's few outputs are summed once, at its end; more rows go to
the matrix units. Every output belongs to one program: sums have one order.
"""

# Triton's language has no types.
# mypy: ignore-errors

import triton
import triton.language as tl

DENSE, INT8, INT4 = 0, 1, 2
WRITE, ADD, GATE = 0, 1, 2


@triton.jit
def _float_halves(pair):
    """int32 that holds two float16 → both as float32."""
    low = (pair & 0xFFFF).to(tl.int16).to(tl.float16, bitcast=True)
    high = (pair >> 16).to(tl.int16).to(tl.float16, bitcast=True)
    return low.to(tl.float32), high.to(tl.float32)


@triton.jit
def _one_row(
    x, norm, weights, rows, n_in, n_out,
    NORMED: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """x [n_in] · the matrix's `rows` [BN] → [BN] sums, and the sum of x²."""
    acc = tl.zeros([BN, BK], tl.float32)
    square = tl.zeros([BK], tl.float32)
    for start in tl.range(0, n_in, BK, num_stages=STAGES):
        inputs = start + tl.arange(0, BK)
        at = rows.to(tl.int64)[:, None] * n_in + inputs[None, :]
        if EVEN:
            a = tl.load(x + inputs).to(tl.float32)
            w = tl.load(weights + at).to(tl.float32)
        else:
            a = tl.load(x + inputs, mask=inputs < n_in, other=0).to(tl.float32)
            w = tl.load(weights + at, mask=(rows < n_out)[:, None] & (inputs < n_in)[None, :], other=0).to(tl.float32)
        if NORMED:
            square += a * a
            a *= tl.load(norm + inputs, mask=inputs < n_in, other=0)
        acc += w * a[None, :]
    return tl.sum(acc, 1), tl.sum(square, 0)


@triton.jit
def _level(words, SLOT: tl.constexpr, NATIVE: tl.constexpr):
    """What stands in one of a word's eight slots, and `_above(SLOT)`, as float32: bits of a number's fraction."""
    if SLOT >= 4:
        words = (words << 16) | (words >> 16)
    mask: tl.constexpr = 15 << (7 + SLOT % 4 * 4)
    exponent: tl.constexpr = (127 + 16 - SLOT % 4 * 4) << 23
    if NATIVE:  # the compiler makes two instructions of it
        bits = tl.inline_asm_elementwise(
            "lop3.b32 $0, $1, $2, $3, 0xEA;", "=r,r,r,r", [words, mask, exponent], tl.uint32, is_pure=True, pack=1
        )
    else:
        bits = (words & mask) | exponent
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _above(SLOT: tl.constexpr):
    return 1 << (16 - SLOT % 4 * 4)


@triton.jit
def _fours(
    x, weights, scales, rows, first, last, n_rows, n_in, n_out,
    BM: tl.constexpr, BN: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr, UNITS: tl.constexpr,
):  # fmt: skip
    """x [n_rows, n_in] · the matrix's `rows` [BN] → [BN, BM] sums over tiles of 256 inputs, `first` to `last`."""
    m, word = tl.arange(0, BM), tl.arange(0, 32)
    n_words = tl.cdiv(n_in, 256) * 32
    of_rows = weights + rows.to(tl.int64)[:, None] * n_words + word[None, :]
    of_x = x + m[:, None] * n_in + word[None, :]
    is_row, is_out = (m < n_rows)[:, None], rows < n_out
    acc = tl.zeros([BN, BM], tl.float32)
    for tile in tl.range(first, last, num_stages=STAGES):
        if EVEN:
            words = tl.load(of_rows + tile * 32)
        else:
            words = tl.load(of_rows + tile * 32, mask=is_out[:, None], other=0)
        words = words.to(tl.uint32, bitcast=True)
        for slot in tl.static_range(8):
            inputs = tile * 256 + slot * 32
            own = scales + (tile * 8 + slot) * n_out + rows
            if EVEN:
                pair = tl.load(own)
                a = tl.load(of_x + inputs, mask=is_row, other=0)
            else:
                pair = tl.load(own, mask=is_out, other=0)
                a = tl.load(of_x + inputs, mask=is_row & (inputs + word < n_in)[None, :], other=0)
            scale, low = _float_halves(pair)
            low -= scale * _above(slot)
            w = _level(words, slot, UNITS == tl.bfloat16) * scale[:, None] + low[:, None]
            acc = tl.dot(w.to(UNITS), tl.trans(a.to(UNITS)), acc)
    return acc


@triton.jit
def _some_rows(
    x, weights, rows, first, last, n_rows, n_in, n_out,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr, UNITS: tl.constexpr,
):  # fmt: skip
    """The same for matrices of 8 and 16 bits, over blocks of BK inputs."""
    m, k = tl.arange(0, BM), tl.arange(0, BK)
    of_rows = weights + rows.to(tl.int64)[:, None] * n_in + k[None, :]
    of_x = x + m[:, None] * n_in + k[None, :]
    is_row = (m < n_rows)[:, None]
    acc = tl.zeros([BN, BM], tl.float32)  # weights stand left, where the units take them from registers
    for block in tl.range(first, last, num_stages=STAGES):
        start = block * BK
        if EVEN:
            w = tl.load(of_rows + start)
            a = tl.load(of_x + start, mask=is_row, other=0)
        else:
            is_in = (start + k < n_in)[None, :]
            w = tl.load(of_rows + start, mask=(rows < n_out)[:, None] & is_in, other=0)
            a = tl.load(of_x + start, mask=is_row & is_in, other=0)
        acc = tl.dot(w.to(UNITS), tl.trans(a.to(UNITS)), acc)
    return acc


@triton.jit
def unpack(words, scales, out, n_in, n_out):
    """A tile of a row of int4 → out [n_out, n_in], for products of so many rows that it pays."""
    row, tile, word = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, 32)
    levels = tl.load(words + (row * tl.num_programs(1) + tile) * 32 + word).to(tl.uint32, bitcast=True)
    for slot in tl.static_range(8):
        scale, low = _float_halves(tl.load(scales + (tile * 8 + slot) * n_out + row))
        values = _level(levels, slot, False) * scale + (low - scale * _above(slot))
        inputs = tile * 256 + slot * 32 + word
        tl.store(out + row * n_in + inputs, values.to(out.dtype.element_ty), mask=inputs < n_in)


@triton.jit
def normalise(x, norm, floor, out, n, BLOCK: tl.constexpr):
    """A row of x [n_rows, n] float32 → out, normalised; BLOCK is n rounded up to a power of two."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    values = tl.load(x + row * n + at, mask=at < n, other=0)
    scale = tl.rsqrt(tl.sum(values * values, 0) + floor)
    values = values * scale * tl.load(norm + at, mask=at < n, other=0)
    tl.store(out + row * n + at, values.to(out.dtype.element_ty), mask=at < n)


@triton.jit
def product(
    x,  # [≥ n_rows, n_in]: float32 where NORMED, else bfloat16
    norm,  # [n_in] float32, with the factor √n_in; any pointer where not NORMED
    floor,  # n_in · eps
    weights,
    scales,
    bias,
    out,  # [n_rows, n_out], and n_out / 2 where gated
    sums,  # [SPLITS, programs, BN, BM] float32: what the parts of a split product leave
    arrived,  # [programs] int32, zeros: how many of the parts are there
    n_rows,
    n_in,
    n_out,
    piece,  # rows of gate, then as many of up, and so on
    KIND: tl.constexpr,
    MODE: tl.constexpr,
    NORMED: tl.constexpr,  # of one row alone, where BM is 1
    BIASED: tl.constexpr,
    BM: tl.constexpr,  # 1, by plain arithmetic; or n_rows rounded up to a power of two ≥ 16, by the matrix units
    BN: tl.constexpr,
    BK: tl.constexpr,
    SPLITS: tl.constexpr,  # parts of the inputs, a program each
    STAGES: tl.constexpr,
    EVEN: tl.constexpr,  # n_in and the outputs are multiples of BK and BN
    UNITS: tl.constexpr,  # what the matrix units take
):
    program, part = tl.program_id(0), tl.program_id(1)
    m, n = tl.arange(0, BM), tl.arange(0, BN)
    j = program * BN + n
    if MODE == 2:  # a gate and its up stand side by side
        rows = (j // 2) // piece * (2 * piece) + (j // 2) % piece + j % 2 * piece
    else:
        rows = j
    if BM == 1:
        acc, square = _one_row(x, norm, weights, rows, n_in, n_out, NORMED, BN, BK, STAGES, EVEN)
        acc = acc[:, None]
        if NORMED:
            acc *= tl.rsqrt(square + floor)
    else:
        n_blocks = tl.cdiv(n_in, BK)
        share = tl.cdiv(n_blocks, SPLITS)
        first = part * share
        last = tl.minimum(n_blocks, first + share)
        if KIND == 2:
            acc = _fours(x, weights, scales, rows, first, last, n_rows, n_in, n_out, BM, BN, STAGES, EVEN, UNITS)
        else:
            acc = _some_rows(x, weights, rows, first, last, n_rows, n_in, n_out, BM, BN, BK, STAGES, EVEN, UNITS)
        if SPLITS > 1:  # who comes last adds up what all have left, in the order of the inputs
            at = (program * BN + n[:, None]) * BM + m[None, :]
            size = tl.num_programs(0) * BN * BM
            tl.store(sums + part * size + at, acc)
            tl.debug_barrier()
            if tl.atomic_add(arrived + program, 1, sem="acq_rel") < SPLITS - 1:
                return
            tl.store(arrived + program, 0)
            acc = tl.zeros([BN, BM], tl.float32)
            for each in tl.static_range(SPLITS):
                acc += tl.load(sums + each * size + at, cache_modifier=".cg")
    values = tl.trans(acc)
    if KIND == 1:
        values *= tl.load(scales + rows, mask=rows < n_out, other=0)[None, :]
    if BIASED:
        values += tl.load(bias + rows, mask=rows < n_out, other=0).to(tl.float32)[None, :]
    if MODE == 2:
        n_columns = n_out // 2
        columns = program * (BN // 2) + tl.arange(0, BN // 2)
        gate, up = tl.split(tl.reshape(values, (BM, BN // 2, 2)))
        values = gate / (1.0 + tl.exp(-gate)) * up
    else:
        n_columns = n_out
        columns = j
    to = out + m[:, None].to(tl.int64) * n_columns + columns[None, :]
    is_in = (m < n_rows)[:, None] & (columns < n_columns)[None, :]
    if MODE == 1:
        values += tl.load(to, mask=is_in, other=0).to(tl.float32)
    tl.store(to, values.to(out.dtype.element_ty), mask=is_in)
