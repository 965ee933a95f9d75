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
    x, norm, weights, scales, rows, n_in, n_out,
    KIND: tl.constexpr, NORMED: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr,
    EVEN: tl.constexpr,
):  # fmt: skip
    """x [n_in] · the matrix's `rows` [BN] → [BN] sums, and the sum of x²."""
    if KIND == 2:
        BG: tl.constexpr = BK // 32
        n_groups = n_in // 32
        word = tl.arange(0, 4)
        # Groups before rows: so a thread has one group of all rows, and reads that group's inputs once.
        acc = tl.zeros([BG, BN], tl.float32)
        square = tl.zeros([BG, 4], tl.float32)
        for start in tl.range(0, n_groups, BG, num_stages=STAGES):
            groups = start + tl.arange(0, BG)
            at = rows.to(tl.int64)[None, :] * n_groups + groups[:, None]
            inputs = groups[:, None] * 32 + word[None, :]
            if EVEN:
                words = tl.load(weights + at[:, :, None] * 4 + word[None, None, :])
                pair = tl.load(scales + at)
            else:
                is_in = (rows < n_out)[None, :] & (groups < n_groups)[:, None]
                words = tl.load(weights + at[:, :, None] * 4 + word[None, None, :], mask=is_in[:, :, None], other=0)
                pair = tl.load(scales + at, mask=is_in, other=0)
            words = words.to(tl.uint32, bitcast=True)
            dots = tl.zeros([BG, BN, 4], tl.float32)
            sums = tl.zeros([BG, 4], tl.float32)
            for s in tl.static_range(8):
                if EVEN:
                    a = tl.load(x + inputs + 4 * s).to(tl.float32)
                else:
                    a = tl.load(x + inputs + 4 * s, mask=(groups < n_groups)[:, None], other=0).to(tl.float32)
                if NORMED:
                    square += a * a
                    if EVEN:
                        a *= tl.load(norm + inputs + 4 * s)
                    else:
                        a *= tl.load(norm + inputs + 4 * s, mask=(groups < n_groups)[:, None], other=0)
                sums += a
                # Instead of moving the four bits down, the input is made smaller by as much: a power of two.
                level = (words & (0xF << (4 * s))).to(tl.float32)
                dots += level * (a * (1.0 / (1 << (4 * s))))[:, None, :]
            scale, low = _float_halves(pair)
            acc += scale * tl.sum(dots, 2) + low * tl.sum(sums, 1)[:, None]
        return tl.sum(acc, 0), tl.sum(tl.sum(square, 1), 0)
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
def _some_rows(
    x, weights, scales, rows, n_in, n_out,
    KIND: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr,
    EVEN: tl.constexpr, UNITS: tl.constexpr,
):  # fmt: skip
    """x [BM, n_in] · the matrix's `rows` [BN] → [BM, BN] sums. Idle rows of x are there, and mean nothing."""
    m = tl.arange(0, BM)
    acc = tl.zeros([BN, BM], tl.float32)  # weights stand left, where the units take them from registers
    if KIND == 2:
        BG: tl.constexpr = BK // 32
        BW: tl.constexpr = BG * 4
        n_groups = n_in // 32
        word = tl.arange(0, BW)
        at = rows.to(tl.int64)[:, None] * n_groups
        for start in tl.range(0, n_groups, BG, num_stages=STAGES):
            groups = start + word // 4
            inputs = groups * 32 + word % 4
            if EVEN:
                words = tl.load(weights + at * 4 + (start * 4 + word)[None, :])
                pair = tl.load(scales + at + groups[None, :])
            else:
                is_in = (rows < n_out)[:, None] & (groups < n_groups)[None, :]
                words = tl.load(weights + at * 4 + (start * 4 + word)[None, :], mask=is_in, other=0)
                pair = tl.load(scales + at + groups[None, :], mask=is_in, other=0)
            scale, low = _float_halves(pair)
            for s in tl.static_range(8):
                if EVEN:
                    a = tl.load(x + m[:, None] * n_in + (inputs + 4 * s)[None, :])
                else:
                    a = tl.load(
                        x + m[:, None] * n_in + (inputs + 4 * s)[None, :], mask=(groups < n_groups)[None, :], other=0
                    )
                level = ((words >> (4 * s)) & 0xF).to(tl.float32) * scale + low
                acc = tl.dot(level.to(UNITS), tl.trans(a.to(UNITS)), acc)
    else:
        for start in tl.range(0, n_in, BK, num_stages=STAGES):
            inputs = start + tl.arange(0, BK)
            at = rows.to(tl.int64)[:, None] * n_in + inputs[None, :]
            if EVEN:
                w = tl.load(weights + at)
                a = tl.load(x + m[:, None] * n_in + inputs[None, :])
            else:
                is_in = inputs < n_in
                w = tl.load(weights + at, mask=(rows < n_out)[:, None] & is_in[None, :], other=0)
                a = tl.load(x + m[:, None] * n_in + inputs[None, :], mask=is_in[None, :], other=0)
            acc = tl.dot(w.to(UNITS), tl.trans(a.to(UNITS)), acc)
    return tl.trans(acc)


@triton.jit
def _outputs(
    x, norm, floor, weights, scales, bias, rows, n_in, n_out,
    KIND: tl.constexpr, NORMED: tl.constexpr, BIASED: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BK: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr, UNITS: tl.constexpr,
):  # fmt: skip
    """[BM, BN] float32: the linear layer's outputs `rows`."""
    if BM == 1:
        sums, square = _one_row(x, norm, weights, scales, rows, n_in, n_out, KIND, NORMED, BN, BK, STAGES, EVEN)
        acc = sums[None, :]
        if NORMED:
            acc *= tl.rsqrt(square + floor)
    else:
        acc = _some_rows(x, weights, scales, rows, n_in, n_out, KIND, BM, BN, BK, STAGES, EVEN, UNITS)
    if KIND == 1:
        acc *= tl.load(scales + rows, mask=rows < n_out, other=0)[None, :]
    if BIASED:
        acc += tl.load(bias + rows, mask=rows < n_out, other=0).to(tl.float32)[None, :]
    return acc


@triton.jit
def unpack(words, scales, out, n_groups, BG: tl.constexpr):
    """Some groups of a row of int4 → out [n_out, n_groups · 32], for products of so many rows that it pays."""
    row = tl.program_id(0).to(tl.int64)
    group, word = tl.program_id(1) * BG + tl.arange(0, BG), tl.arange(0, 4)
    is_in = group < n_groups
    at = (row * n_groups + group)[:, None] * 4 + word[None, :]
    fours = tl.load(words + at, mask=is_in[:, None], other=0)
    scale, low = _float_halves(tl.load(scales + row * n_groups + group, mask=is_in, other=0))
    for s in tl.static_range(8):
        values = ((fours >> (4 * s)) & 0xF).to(tl.float32) * scale[:, None] + low[:, None]
        to = out + (row * n_groups + group)[:, None] * 32 + 4 * s + word[None, :]
        tl.store(to, values.to(out.dtype.element_ty), mask=is_in[:, None])


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
    x,  # [≥ BM, n_in]: float32 where NORMED, else bfloat16
    norm,  # [n_in] float32, with the factor √n_in; any pointer where not NORMED
    floor,  # n_in · eps
    weights,
    scales,
    bias,
    out,  # [n_rows, n_out], and n_out / 2 where gated
    n_rows,
    n_in,
    n_out,
    piece,  # rows of gate, then as many of up, and so on
    KIND: tl.constexpr,
    MODE: tl.constexpr,
    NORMED: tl.constexpr,  # of one row alone
    BIASED: tl.constexpr,
    BM: tl.constexpr,  # 1, or n_rows rounded up to a power of two ≥ 16
    BN: tl.constexpr,
    BK: tl.constexpr,
    STAGES: tl.constexpr,
    EVEN: tl.constexpr,  # n_in and the outputs are multiples of BK and BN
    UNITS: tl.constexpr,  # what the matrix units take
):
    m = tl.arange(0, BM)
    j = tl.program_id(0) * BN + tl.arange(0, BN)
    if MODE == 2:  # a gate and its up stand side by side
        rows = (j // 2) // piece * (2 * piece) + (j // 2) % piece + j % 2 * piece
    else:
        rows = j
    values = _outputs(
        x, norm, floor, weights, scales, bias, rows, n_in, n_out,
        KIND, NORMED, BIASED, BM, BN, BK, STAGES, EVEN, UNITS,
    )  # fmt: skip
    if MODE == 2:
        n_columns = n_out // 2
        columns = tl.program_id(0) * (BN // 2) + tl.arange(0, BN // 2)
        gate, up = tl.split(tl.reshape(values, (BM, BN // 2, 2)))
        values = gate / (1.0 + tl.exp(-gate)) * up
    else:
        n_columns = n_out
        columns = j
    at = out + m[:, None].to(tl.int64) * n_columns + columns[None, :]
    is_in = (m < n_rows)[:, None] & (columns < n_columns)[None, :]
    if MODE == 1:
        values += tl.load(at, mask=is_in, other=0).to(tl.float32)
    tl.store(at, values.to(out.dtype.element_ty), mask=is_in)
