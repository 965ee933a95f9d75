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
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

DENSE, INT8, INT4 = 0, 1, 2
WRITE, ADD, GATE = 0, 1, 2


@triton.jit
def follow(CHAINED: tl.constexpr):
    """Have the next kernel's programs take their places while this one works; wait for what the one before writes."""
    if CHAINED:
        gdc_launch_dependents()
        gdc_wait()


@triton.jit
def _fetch(places):
    """Have lines of weights brought into the cache, as long as there is nothing to multiply them with."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;", "=r,l", [places], tl.int32, is_pure=False, pack=1
    )


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
def _weights(words, pair, SLOT: tl.constexpr, UNITS: tl.constexpr):
    """words [n, 16], and their groups' scales and lows in pairs [n] → the weights of one slot [n, 32].

    Four bits below those of 128 are, in bfloat16, 128 + level. Two are reckoned with at a time where the device can.
    """
    words = words >> (4 * SLOT)
    if tl.bfloat16 == UNITS:
        scale = tl.inline_asm_elementwise("prmt.b32 $0, $1, $1, 0x1010;", "=r,r", [pair], tl.uint32, True, 1)
        low = tl.inline_asm_elementwise("prmt.b32 $0, $1, $1, 0x3232;", "=r,r", [pair], tl.uint32, True, 1)
        both = tl.inline_asm_elementwise(
            "{.reg .b32 t; lop3.b32 t, $1, $4, $5, 0xEA; sub.rn.bf16x2 t, t, $5; fma.rn.bf16x2 $0, t, $2, $3;}",
            "=r,r,r,r,r,r",
            [words, scale[:, None], low[:, None], 0x000F000F, 0x43004300],
            tl.uint32,
            is_pure=True,
            pack=1,
        )
        first = (both & 0xFFFF).to(tl.uint16).to(tl.bfloat16, bitcast=True)
        second = (both >> 16).to(tl.uint16).to(tl.bfloat16, bitcast=True)
    else:
        scale = (pair << 16).to(tl.float32, bitcast=True)[:, None]
        low = (pair & 0xFFFF0000).to(tl.float32, bitcast=True)[:, None]
        first = (words & 15).to(UNITS) * scale + low
        second = ((words >> 16) & 15).to(UNITS) * scale + low
    return tl.reshape(tl.join(first, second), (words.shape[0], 32))


@triton.jit
def _fours(
    x, weights, scales, rows, first, last, n_rows, n_in, n_out,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr,
    UNITS: tl.constexpr,
):  # fmt: skip
    """x [n_rows, n_in] · the matrix's `rows` [BN] → [BN, BM] sums over blocks of BK inputs, `first` to `last`."""
    m, k, word = tl.arange(0, BM), tl.arange(0, 32), tl.arange(0, 16)
    n_tiles = tl.cdiv(n_in, 128)
    of_rows = weights + rows.to(tl.int64)[:, None] * (n_tiles * 16) + word[None, :]
    of_x = x + m[:, None] * n_in + k[None, :]
    is_row, is_out = (m < n_rows)[:, None], rows < n_out
    acc = tl.zeros([BN, BM], tl.float32)  # weights stand left, where the units take them from registers
    for block in tl.range(first, last, num_stages=STAGES):
        for each in tl.static_range(BK // 128):
            tile = block * (BK // 128) + each
            if EVEN:
                words = tl.load(of_rows + tile * 16)
            else:  # what is past the last tile is multiplied by inputs that are read as zeros
                tile = tl.minimum(tile, n_tiles - 1)
                words = tl.load(of_rows + tile * 16, mask=is_out[:, None], other=0)
            words = words.to(tl.uint32, bitcast=True)
            for slot in tl.static_range(4):
                inputs = (block * (BK // 128) + each) * 128 + slot * 32
                own = scales + (tile * 4 + slot) * n_out + rows
                if EVEN:
                    pair = tl.load(own)
                    a = tl.load(of_x + inputs, mask=is_row, other=0)
                else:
                    pair = tl.load(own, mask=is_out, other=0)
                    a = tl.load(of_x + inputs, mask=is_row & (inputs + k < n_in)[None, :], other=0)
                pair = pair.to(tl.uint32, bitcast=True)
                acc = tl.dot(_weights(words, pair, slot, UNITS), tl.trans(a.to(UNITS)), acc)
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
    acc = tl.zeros([BN, BM], tl.float32)
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
def unpack(words, scales, out, n_in, n_out, ROWS: tl.constexpr):
    """A tile of some rows of int4 → out [n_out, n_in], for products of so many rows that it pays."""
    rows, tile, word, k = (
        tl.program_id(0) * ROWS + tl.arange(0, ROWS),
        tl.program_id(1),
        tl.arange(0, 16),
        tl.arange(0, 32),
    )
    is_out = rows < n_out
    of_rows = rows.to(tl.int64)[:, None]
    at = (of_rows * tl.num_programs(1) + tile) * 16 + word[None, :]
    levels = tl.load(words + at, mask=is_out[:, None], other=0).to(tl.uint32, bitcast=True)
    for slot in tl.static_range(4):
        pair = tl.load(scales + (tile * 4 + slot) * n_out + rows, mask=is_out, other=0).to(tl.uint32, bitcast=True)
        inputs = tile * 128 + slot * 32 + k
        values = _weights(levels, pair, slot, tl.float32).to(out.dtype.element_ty)
        tl.store(out + of_rows * n_in + inputs[None, :], values, mask=is_out[:, None] & (inputs < n_in)[None, :])


@triton.jit
def normalise(x, norm, floor, out, n, BLOCK: tl.constexpr, CHAINED: tl.constexpr):
    """A row of x [n_rows, n] float32 → out, normalised; BLOCK is n rounded up to a power of two."""
    follow(CHAINED)
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    values = tl.load(x + row * n + at, mask=at < n, other=0)
    scale = tl.rsqrt(tl.sum(values * values, 0) + floor)
    values = values * scale * tl.load(norm + at, mask=at < n, other=0)
    tl.store(out + row * n + at, values.to(out.dtype.element_ty), mask=at < n)


@triton.jit(do_not_specialize=["n_rows"])
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
    BM: tl.constexpr,  # 1, by plain arithmetic; or n_rows rounded up to a power of two ≥ 8, by the matrix units
    BN: tl.constexpr,
    BK: tl.constexpr,
    SPLITS: tl.constexpr,  # parts of the inputs, a program each
    STAGES: tl.constexpr,
    EVEN: tl.constexpr,  # n_in and the outputs are multiples of BK and BN
    UNITS: tl.constexpr,  # what the matrix units take
    CHAINED: tl.constexpr,  # launched before the kernel before is done
):
    program, part = tl.program_id(0), tl.program_id(1)
    m, n = tl.arange(0, BM), tl.arange(0, BN)
    j = program * BN + n
    if MODE == 2:  # a gate and its up stand side by side
        rows = (j // 2) // piece * (2 * piece) + (j // 2) % piece + j % 2 * piece
    else:
        rows = j
    if CHAINED:
        gdc_launch_dependents()
        if KIND == 2:  # the first eight tiles of a program's part
            n_tiles = tl.cdiv(n_in, 128)
            own = part * tl.cdiv(tl.cdiv(n_in, BK), SPLITS) * (BK // 128) + 2 * tl.arange(0, 4)
            of_rows = weights + tl.minimum(rows, n_out - 1).to(tl.int64)[:, None] * (n_tiles * 16)
            _fetch(of_rows + tl.minimum(own, n_tiles - 1)[None, :] * 16)
        gdc_wait()
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
            acc = _fours(x, weights, scales, rows, first, last, n_rows, n_in, n_out, BM, BN, BK, STAGES, EVEN, UNITS)
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
