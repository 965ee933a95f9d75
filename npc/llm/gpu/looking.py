"""Triton: where queries, keys and values go, and what each row sees of its text, over pages of the cache.

A row's text may be long and rows few: its past is split over programs, each of
which leaves its sums, its greatest score and its weight for `merge` (flash
decoding). Which pages a row reads, and how many, stands in device memory alone.
"""

# Triton's language has no types.
# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def place(
    qkv,  # [n_rows, (n_heads + 2 n_kv) · DIM]
    queries,  # [n_rows, n_heads · DIM], out
    cache,  # [n_slots, 2 n_kv · DIM], out
    cache_scales,  # [n_slots, 2 n_kv], out, where the cache is int8
    places,  # [n_rows, stride] int32: position, then the pages of the row's text
    cos,  # [n_positions, DIM] float32
    sin,  # with the sign of rotate-half
    norms,  # [2, DIM] float32, of queries and of keys, with the factor √DIM
    floor,  # DIM · eps
    n_heads,
    n_kv,
    stride,
    DIM: tl.constexpr,
    PAGE: tl.constexpr,
    ROTATES: tl.constexpr,
    NORMED: tl.constexpr,
    INT8: tl.constexpr,
):
    """A row's head: normalised and rotated if it is a query or a key, then put where it is read."""
    row, head = tl.program_id(0), tl.program_id(1)
    d = tl.arange(0, DIM)
    other = (d + DIM // 2) % DIM
    source = qkv + row.to(tl.int64) * (n_heads + 2 * n_kv) * DIM + head * DIM
    x = tl.load(source + d).to(tl.float32)
    position = tl.load(places + row * stride)
    if head < n_heads + n_kv:
        turned = tl.load(source + other).to(tl.float32)
        if NORMED:
            norm = norms + (head >= n_heads).to(tl.int32) * DIM
            scale = tl.rsqrt(tl.sum(x * x, 0) + floor)
            x *= scale * tl.load(norm + d)
            turned *= scale * tl.load(norm + other)
        if ROTATES:
            x = x * tl.load(cos + position * DIM + d) + turned * tl.load(sin + position * DIM + d)
    if head < n_heads:
        tl.store(queries + row.to(tl.int64) * n_heads * DIM + head * DIM + d, x.to(queries.dtype.element_ty))
    else:
        page = tl.load(places + row * stride + 1 + position // PAGE).to(tl.int64)
        slot = page * PAGE + position % PAGE
        to = slot * 2 * n_kv + head - n_heads
        if INT8:
            x = x.to(qkv.dtype.element_ty).to(tl.float32)
            scale = tl.maximum(tl.max(tl.abs(x), 0) / 127, 1e-8).to(cache_scales.dtype.element_ty)
            tl.store(cache_scales + to, scale)
            x = tl.floor(x / scale.to(tl.float32) + 0.5)
            x = tl.minimum(tl.maximum(x, -127), 127)
        tl.store(cache + to * DIM + d, x.to(cache.dtype.element_ty))


@triton.jit
def look(
    queries,  # [n_rows, n_kv · PER_KV · DIM]
    cache,
    cache_scales,
    places,
    sums,  # [n_rows, SPLITS, n_kv · PER_KV, DIM] float32, out; where SPLITS is 1, the result in `out`
    weights,  # [n_rows, SPLITS, n_kv · PER_KV, 2] float32, out: the greatest score, and the weight of all
    out,  # [n_rows, n_kv · PER_KV · DIM], out
    scale,
    n_kv,
    window,
    stride,
    DIM: tl.constexpr,
    PER_KV: tl.constexpr,
    HEADS: tl.constexpr,  # PER_KV rounded up to a power of two ≥ 16
    PAGE: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
    INT8: tl.constexpr,
    UNITS: tl.constexpr,  # what the matrix units take
):
    row, kv, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    d, h = tl.arange(0, DIM), tl.arange(0, HEADS)
    heads = kv * PER_KV + h
    n_heads = n_kv * PER_KV
    is_head = h < PER_KV
    at = queries + row.to(tl.int64) * n_heads * DIM + heads[:, None] * DIM + d[None, :]
    query = tl.load(at, mask=is_head[:, None], other=0).to(UNITS)
    end = tl.load(places + row * stride) + 1
    begin = tl.where(window > 0, tl.maximum(end - window, 0), 0)
    share = tl.cdiv(tl.cdiv(end - begin, SPLITS), BLOCK) * BLOCK
    first = begin + split * share
    last = tl.minimum(end, first + share)
    highest = tl.full([HEADS], -1e30, tl.float32)
    total = tl.zeros([HEADS], tl.float32)
    acc = tl.zeros([HEADS, DIM], tl.float32)
    for start in range(first, last, BLOCK):
        p = start + tl.arange(0, BLOCK)
        is_in = p < last
        page = tl.load(places + row * stride + 1 + p // PAGE, mask=is_in, other=0).to(tl.int64)
        own = (page * PAGE + p % PAGE) * 2 * n_kv + kv  # of its key; its value stands n_kv further on
        key = tl.load(cache + own[:, None] * DIM + d[None, :], mask=is_in[:, None], other=0)
        value = tl.load(cache + (own + n_kv)[:, None] * DIM + d[None, :], mask=is_in[:, None], other=0)
        if INT8:
            key = key.to(tl.float32) * tl.load(cache_scales + own, mask=is_in, other=0).to(tl.float32)[:, None]
            value = value.to(tl.float32)
            value *= tl.load(cache_scales + own + n_kv, mask=is_in, other=0).to(tl.float32)[:, None]
        scores = tl.dot(query, tl.trans(key.to(UNITS))) * scale
        scores = tl.where(is_in[None, :], scores, -1e30)
        higher = tl.maximum(highest, tl.max(scores, 1))
        faded = tl.exp(highest - higher)
        share_of = tl.where(is_in[None, :], tl.exp(scores - higher[:, None]), 0.0)
        total = total * faded + tl.sum(share_of, 1)
        acc = acc * faded[:, None] + tl.dot(share_of.to(UNITS), value.to(UNITS))
        highest = higher
    if SPLITS == 1:
        to = out + row.to(tl.int64) * n_heads * DIM + heads[:, None] * DIM + d[None, :]
        tl.store(to, (acc / total[:, None]).to(out.dtype.element_ty), mask=is_head[:, None])
    else:
        part = (row.to(tl.int64) * SPLITS + split) * n_heads + heads
        tl.store(sums + part[:, None] * DIM + d[None, :], acc, mask=is_head[:, None])
        tl.store(weights + part * 2, highest, mask=is_head)
        tl.store(weights + part * 2 + 1, total, mask=is_head)


@triton.jit
def merge(sums, weights, out, n_heads, DIM: tl.constexpr, SPLITS: tl.constexpr):
    """The parts of one row's head, joined."""
    row, head = tl.program_id(0), tl.program_id(1)
    d, split = tl.arange(0, DIM), tl.arange(0, SPLITS)
    part = (row.to(tl.int64) * SPLITS + split) * n_heads + head
    highest = tl.load(weights + part * 2)
    faded = tl.exp(highest - tl.max(highest, 0))
    total = tl.sum(tl.load(weights + part * 2 + 1) * faded, 0)
    acc = tl.sum(tl.load(sums + part[:, None] * DIM + d[None, :]) * faded[:, None], 0)
    tl.store(out + row.to(tl.int64) * n_heads * DIM + head * DIM + d, (acc / total).to(out.dtype.element_ty))
