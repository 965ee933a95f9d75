"""Triton: a few rows times a matrix of 4, 8 or 16 bits, with what stands before and after it in the network.

Before: RMSNorm, found in the same pass over the inputs, its divisor applied to
the sums. After: bias, the residual sum, or silu(gate) · up. The fewest rows are
multiplied by plain arithmetic: each thread reads strips of 16 bytes of some
outputs, sums them alone, and all threads meet once, at the end. More rows go to
the matrix units. What adds up one output has a fixed order.
"""

# Triton's language has no types.
# mypy: ignore-errors

import triton
import triton.language as tl

DENSE, INT8, INT4 = 0, 1, 2
WRITE, ADD, GATE = 0, 1, 2


@triton.jit
def _four(values):
    """[T, n, 4] → its four, each [n, T]. Threads lie along T, here and in all that follows: what is loaded stays."""
    even, odd = tl.split(tl.reshape(values, (values.shape[0], values.shape[1], 2, 2)))
    first, third = tl.split(even)
    second, fourth = tl.split(odd)
    return tl.trans(first), tl.trans(second), tl.trans(third), tl.trans(fourth)


@triton.jit
def _inputs(x, norm, square, m, inputs, n_rows, n_in, NORMED: tl.constexpr, EVEN: tl.constexpr):
    """x [n_rows, n_in] at four inputs from each of `inputs` [T] → four times [BM, T], and the sums of squares."""
    at = inputs[:, None, None] + tl.arange(0, 4)[None, None, :]
    is_in = (m < n_rows)[None, :, None]
    if not EVEN:
        is_in = is_in & (at < n_in)
    a = tl.load(x + m[None, :, None] * n_in + at, mask=is_in, other=0).to(tl.float32)
    if NORMED:
        square += tl.trans(tl.sum(a * a, 2))
        if EVEN:
            a *= tl.load(norm + at)
        else:
            a *= tl.load(norm + at, mask=at < n_in, other=0)
    first, second, third, fourth = _four(a)
    return first, second, third, fourth, square


@triton.jit
def _by_strips(
    x, norm, weights, rows, n_rows, n_in, n_out,
    NORMED: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """x [n_rows, n_in] · the matrix's `rows` [BN] → [BM, BN] sums, and the sums of x² [BM]; 8 inputs a strip."""
    T: tl.constexpr = BK // 8
    m, strip = tl.arange(0, BM), 8 * tl.arange(0, T)
    acc = tl.zeros([BM, BN, T], tl.float32)
    square = tl.zeros([BM, T], tl.float32)
    for start in range(0, n_in, BK):
        at = start + strip[:, None, None] + tl.arange(0, 8)[None, None, :]
        of_rows = weights + rows.to(tl.int64)[None, :, None] * n_in
        if EVEN:
            w = tl.load(of_rows + at)
        else:
            w = tl.load(of_rows + at, mask=(rows < n_out)[None, :, None] & (at < n_in), other=0)
        even, odd = tl.split(tl.reshape(w, (T, BN, 4, 2)))
        w0, w2, w4, w6 = _four(even)
        w1, w3, w5, w7 = _four(odd)
        x0, x1, x2, x3, square = _inputs(x, norm, square, m, start + strip, n_rows, n_in, NORMED, EVEN)
        acc = _add(_add(_add(_add(acc, w0, x0), w1, x1), w2, x2), w3, x3)
        x0, x1, x2, x3, square = _inputs(x, norm, square, m, start + strip + 4, n_rows, n_in, NORMED, EVEN)
        acc = _add(_add(_add(_add(acc, w4, x0), w5, x1), w6, x2), w7, x3)
    return tl.sum(acc, 2), tl.sum(square, 1)


@triton.jit
def _add(acc, w, x):
    """acc [BM, BN, T] + w [BN, T] · x [BM, T]"""
    return acc + w.to(tl.float32)[None, :, :] * x[:, None, :]


@triton.jit
def _one_and(word, AT: tl.constexpr, LIFT: tl.constexpr, UNITS: tl.constexpr):
    """Of the four bits at AT of a word, lifted within a float's fraction: 1 + level / 2^(23 - AT - LIFT)."""
    if LIFT > 0:
        word = word << LIFT
    else:
        word = word >> -LIFT
    if tl.bfloat16 == UNITS:  # in one instruction, which what is compiled from two is not
        asm: tl.constexpr = "lop3.b32 $0, $1, $2, $3, 0xEA;"
        one = tl.inline_asm_elementwise(asm, "=r,r,r,r", [word, 15 << AT + LIFT, 0x3F800000], tl.uint32, True, 1)
    else:
        one = (word & (15 << AT + LIFT)) | 0x3F800000
    return one.to(tl.float32, bitcast=True)


@triton.jit
def _group(acc, words, pair, x, odd_x, SLOT: tl.constexpr, UNITS: tl.constexpr):
    """acc [BM, BN, T] + a slot of four words [BN, T] · their inputs, four times two [BM, T].

    The bits of a level are put into a float's fraction as they are, which makes 1 + level / 2^n. So the sum is
    scale · (Σ (1 + level / 2^n) · 2^n x - Σ 2^n x) + low · Σ x. Three lifts bring all eight levels of a word to
    where n is 4 to 12, and rounding stays small.
    """
    LIFT: tl.constexpr = 15 if SLOT < 2 else 3
    ODD_LIFT: tl.constexpr = 3 if SLOT == 0 else -9
    UP: tl.constexpr = 1 << (23 - 4 * SLOT - LIFT)
    ODD_UP: tl.constexpr = 1 << (7 - 4 * SLOT - ODD_LIFT)
    total, odd_total = (x[0] + x[1]) + (x[2] + x[3]), (odd_x[0] + odd_x[1]) + (odd_x[2] + odd_x[3])
    own = tl.zeros_like(acc) - (total * UP + odd_total * ODD_UP)[:, None, :]
    for i in tl.static_range(4):
        own = _add(own, _one_and(words[i], 4 * SLOT, LIFT, UNITS), x[i] * UP)
        own = _add(own, _one_and(words[i], 4 * SLOT + 16, ODD_LIFT, UNITS), odd_x[i] * ODD_UP)
    scale = (pair << 16).to(tl.float32, bitcast=True)
    low = (pair & 0xFFFF0000).to(tl.float32, bitcast=True)
    return _add(acc, low, total + odd_total) + own * scale[None, :, :]


@triton.jit
def _fours_by_strips(
    x, norm, weights, scales, rows, n_rows, n_in, n_out,
    NORMED: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr,
    FOUR: tl.constexpr, UNITS: tl.constexpr,
):  # fmt: skip
    """As `_by_strips`; a strip is 4 words, with 8 inputs of each group of a tile. FOUR: rows that lie side by side."""
    T: tl.constexpr = BK // 32
    m, t = tl.arange(0, BM), tl.arange(0, T)
    n_tiles = tl.cdiv(n_in, 128)
    of_rows = weights + rows.to(tl.int64)[None, :, None] * (n_tiles * 16)
    of_fours = tl.reshape(rows, (1, BN // FOUR, FOUR))
    of_fours = scales + tl.max_contiguous(tl.multiple_of(of_fours, (1, 1, FOUR)), (1, 1, FOUR))
    acc = tl.zeros([BM, BN, T], tl.float32)
    square = tl.zeros([BM, T], tl.float32)
    for start in range(0, n_in, BK):
        tile = start // 128 + t // 4
        at = start // 8 + 4 * t[:, None, None] + tl.arange(0, 4)[None, None, :]
        if EVEN:
            words = tl.load(of_rows + at)
        else:
            words = tl.load(of_rows + at, mask=(rows < n_out)[None, :, None] & (at < n_tiles * 16), other=0)
        words = _four(words.to(tl.uint32, bitcast=True))
        for slot in tl.static_range(4):
            of_pairs = of_fours + ((tile * 4 + slot) * n_out)[:, None, None]
            if EVEN:
                pair = tl.load(of_pairs)
            else:
                is_in = tl.reshape(rows < n_out, (1, BN // FOUR, FOUR)) & (tile < n_tiles)[:, None, None]
                pair = tl.load(of_pairs, mask=is_in, other=0)
            pair = tl.trans(tl.reshape(pair, (T, BN)).to(tl.uint32, bitcast=True))
            inputs = tile * 128 + slot * 32 + t % 4 * 8
            x0, x1, x2, x3, square = _inputs(x, norm, square, m, inputs, n_rows, n_in, NORMED, EVEN)
            x4, x5, x6, x7, square = _inputs(x, norm, square, m, inputs + 4, n_rows, n_in, NORMED, EVEN)
            acc = _group(acc, words, pair, (x0, x2, x4, x6), (x1, x3, x5, x7), slot, UNITS)
    return tl.sum(acc, 2), tl.sum(square, 1)


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
def normalise(x, norm, floor, out, n, BLOCK: tl.constexpr):
    """A row of x [n_rows, n] float32 → out, normalised; BLOCK is n rounded up to a power of two."""
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
    NORMED: tl.constexpr,  # by plain arithmetic alone
    BIASED: tl.constexpr,
    BM: tl.constexpr,  # n_rows rounded up to a power of two, and to 8 at least for the matrix units
    BN: tl.constexpr,
    BK: tl.constexpr,
    SPLITS: tl.constexpr,  # parts of the inputs, a program each: for the matrix units alone
    STAGES: tl.constexpr,
    EVEN: tl.constexpr,  # n_in and the outputs are multiples of BK and BN
    UNITS: tl.constexpr,  # what the matrix units take
    BY_UNITS: tl.constexpr,  # else by plain arithmetic
):
    program, part = tl.program_id(0), tl.program_id(1)
    m, n = tl.arange(0, BM), tl.arange(0, BN)
    j = program * BN + n
    if MODE == 2:  # a gate and its up stand side by side, or gates before ups, where four scales are read at once
        half = j // 2 if BY_UNITS else program * (BN // 2) + n % (BN // 2)
        is_up = j % 2 if BY_UNITS else n // (BN // 2)
        rows = half // piece * (2 * piece) + half % piece + is_up * piece
    else:
        rows = j
    if not BY_UNITS:
        if KIND == 2:
            FOUR: tl.constexpr = min(4, BN // 2 if MODE == 2 else BN)
            values, square = _fours_by_strips(
                x, norm, weights, scales, rows, n_rows, n_in, n_out, NORMED, BM, BN, BK, EVEN, FOUR, UNITS
            )
        else:
            values, square = _by_strips(x, norm, weights, rows, n_rows, n_in, n_out, NORMED, BM, BN, BK, EVEN)
        if NORMED:
            values *= tl.rsqrt(square + floor)[:, None]
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
        if BY_UNITS:
            gate, up = tl.split(tl.reshape(values, (BM, BN // 2, 2)))
        else:
            gate, up = tl.split(tl.permute(tl.reshape(values, (BM, 2, BN // 2)), (0, 2, 1)))
        values = gate / (1.0 + tl.exp(-gate)) * up
    else:
        n_columns = n_out
        columns = j
    to = out + m[:, None].to(tl.int64) * n_columns + columns[None, :]
    is_in = (m < n_rows)[:, None] & (columns < n_columns)[None, :]
    if MODE == 1:
        values += tl.load(to, mask=is_in, other=0).to(tl.float32)
    tl.store(to, values.to(out.dtype.element_ty), mask=is_in)
