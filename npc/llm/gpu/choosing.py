"""Triton: from logits to tokens, as `sampler.py` has it, without the host.

`score` makes of each logit what is compared: after penalty, mask and
temperature. `choose` takes the greatest, or draws: what top-k and top-p leave
is found by halving the range of the lowest score that stays in, and of these
the one wins whose score with its noise is highest (Gumbel-max).
"""

# Triton's language has no types.
# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def score(
    logits,  # [n, vocab] float32
    fields,  # [n_choices, N_FIELDS] int32; see step.Field
    said,  # [n_slots, vocab] int8
    masks,  # [n_choices, n_words] int32, a bit a token
    scores,  # [n_choices, vocab] float32, out
    best,  # [n_choices, n_chunks] float32, out
    best_at,  # [n_choices, n_chunks] int32, out
    vocab,
    n_words,
    n_chunks,
    N_FIELDS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    choice, chunk = tl.program_id(0), tl.program_id(1)
    own = fields + choice * N_FIELDS
    row, slot, is_masked = tl.load(own), tl.load(own + 1), tl.load(own + 2)
    temperature = tl.load(own + 3).to(tl.float32, bitcast=True)
    penalty = tl.load(own + 4).to(tl.float32, bitcast=True)
    ids = chunk * BLOCK + tl.arange(0, BLOCK)
    is_in = ids < vocab
    x = tl.load(logits + row.to(tl.int64) * vocab + ids, mask=is_in, other=-float("inf"))
    if penalty != 1.0:
        was_said = tl.load(said + slot.to(tl.int64) * vocab + ids, mask=is_in, other=0) != 0
        x = tl.where(was_said, tl.where(x > 0, x / penalty, x * penalty), x)
    if is_masked != 0:
        words = tl.load(masks + choice * n_words + ids // 32, mask=is_in, other=0)
        x = tl.where((words >> (ids % 32)) & 1 != 0, x, -float("inf"))
    if temperature > 0:
        x = x / temperature
    tl.store(scores + choice.to(tl.int64) * vocab + ids, x, mask=is_in)
    tl.store(best + choice * n_chunks + chunk, tl.max(x, 0))
    tl.store(best_at + choice * n_chunks + chunk, chunk * BLOCK + tl.argmax(x, 0))


@triton.jit
def _at_least(scores, vocab, highest, lowest, BLOCK: tl.constexpr):
    """Of the scores that are at least `lowest` (from `highest` down): how many, and their weight."""
    n = tl.zeros([BLOCK], tl.int32)
    weight = tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocab, BLOCK):
        ids = start + tl.arange(0, BLOCK)
        x = tl.load(scores + ids, mask=ids < vocab, other=-float("inf")) - highest
        n += (x >= lowest).to(tl.int32)
        weight += tl.where(x >= lowest, tl.exp(x), 0.0)
    return tl.sum(n, 0), tl.sum(weight, 0)


@triton.jit
def choose(
    fields,
    scores,
    best,
    best_at,
    said,  # in and out
    chosen,  # [n_choices] int64, out
    ids,  # [n_choices] int64, out: what the next step reads
    vocab,
    n_chunks,
    N_FIELDS: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNKS: tl.constexpr,  # n_chunks rounded up to a power of two
):
    choice = tl.program_id(0)
    own = fields + choice * N_FIELDS
    slot = tl.load(own + 1)
    temperature = tl.load(own + 3).to(tl.float32, bitcast=True)
    top_p = tl.load(own + 5).to(tl.float32, bitcast=True)
    top_k = tl.load(own + 6)
    chunk = tl.arange(0, CHUNKS)
    highs = tl.load(best + choice * n_chunks + chunk, mask=chunk < n_chunks, other=-float("inf"))
    highest = tl.max(highs, 0)
    token = tl.load(best_at + choice * n_chunks + tl.argmax(highs, 0)).to(tl.int64)
    if temperature > 0:
        x = scores + choice.to(tl.int64) * vocab
        lowest = tl.full([], -100.0, tl.float32)  # what is less likely by e^100 than the likeliest is never drawn
        if (top_k > 0) & (top_k < vocab):
            high = tl.full([], 0.0, tl.float32)
            for _ in range(30):
                middle = (lowest + high) / 2
                n, _weight = _at_least(x, vocab, highest, middle, BLOCK)
                lowest = tl.where(n >= top_k, middle, lowest)
                high = tl.where(n >= top_k, high, middle)
        if top_p < 1:
            _n, total = _at_least(x, vocab, highest, lowest, BLOCK)
            high = tl.full([], 0.0, tl.float32)
            for _ in range(30):
                middle = (lowest + high) / 2
                _n, weight = _at_least(x, vocab, highest, middle, BLOCK)
                lowest = tl.where(weight >= top_p * total, middle, lowest)
                high = tl.where(weight >= top_p * total, high, middle)
        number = tl.load(own + 8).to(tl.uint32, bitcast=True).to(tl.uint64) << 32
        number = number | tl.load(own + 7).to(tl.uint32, bitcast=True).to(tl.uint64)
        noisiest = tl.full([BLOCK], -float("inf"), tl.float64)
        noisiest_at = tl.zeros([BLOCK], tl.int32)
        for start in range(0, vocab, BLOCK):
            at = start + tl.arange(0, BLOCK)
            value = tl.load(x + at, mask=at < vocab, other=-float("inf")) - highest
            bits = at.to(tl.uint64) * 0x9E3779B97F4A7C15 + number
            bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
            bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
            bits = bits ^ (bits >> 31)
            uniform = ((bits >> 11).to(tl.float64) + 0.5) * 1.1102230246251565e-16
            noisy = value.to(tl.float64) - tl.log(-tl.log(uniform))
            is_better = (value >= lowest) & (noisy > noisiest)
            noisiest = tl.where(is_better, noisy, noisiest)
            noisiest_at = tl.where(is_better, at, noisiest_at)
        token = tl.sum(tl.where(tl.arange(0, BLOCK) == tl.argmax(noisiest, 0), noisiest_at, 0), 0).to(tl.int64)
    tl.store(said + slot.to(tl.int64) * vocab + token, 1)
    tl.store(chosen + choice, token)
    tl.store(ids + choice, token)
