"""A step of the network on a CPU, as one compiled function that all threads run.

A reply's token is so little work that launching a kernel for each of its eight
hundred operations takes longer than reading the weights. Here numba compiles
the whole step: a list of stages, each in pieces that threads take by a
counter. bfloat16, which numba does not know, is handled as its bits. The torch
network in `model.py` computes the same and is the test of it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from torch import Tensor

from npc.llm.attend import attend, turn
from npc.llm.cache import DenseCache, LayerCache
from npc.llm.compiled import FAST, compiled
from npc.llm.kernels import N_ROWS, gate, multiply, quantise, round_bits
from npc.llm.layout import BF16, PIECE
from npc.llm.simd import carray, floats_at, halves_at
from npc.llm.team import SPACING, finish, take, team, wait

if TYPE_CHECKING:
    from npc.llm.model import Batch, Transformer

Array = np.ndarray[Any, np.dtype[Any]]  # numba knows the shapes, which the comments give

N_ROWS_DENSE = 16
"""Rows up to which bfloat16 weights are read here: beyond, torch's product is quicker."""
BLOCK = 16
"""Rows of a text that look back together."""
HEAD_PIECE = 256
_N_STAGES = 8
_QKV, _OUT, _GATE_UP, _DOWN, _NORMS = 0, 4, 8, 12, 16  # columns of the table of layers: four a matrix
_WINDOW, _ROTATES, _N_COLUMNS = 20, 21, 22


class FusedStep:
    """Runs a `Transformer` in bfloat16."""

    def __init__(self, model: "Transformer") -> None:
        arch = model.arch
        self._model = model
        cos, sin = arch.rotary.tables(arch.head_dim, model.n_positions)
        self._cos, self._sin = cos[:, 0].numpy(), sin[:, 0].numpy()
        matrices = [linear for layer in model.layers for linear in (layer.qkv, layer.out, layer.gate_up, layer.down)]
        self._is_dense = any(linear.row[0] == BF16 for linear in matrices)
        self._table = np.array(
            [
                [
                    *layer.qkv.row,
                    *layer.out.row,
                    *layer.gate_up.row,
                    *layer.down.row,
                    *(
                        norm.scaled.ctypes.data if norm else 0
                        for norm in (layer.attention_norm, layer.mlp_norm, layer.q_norm, layer.k_norm)
                    ),
                    arch.windows[index],
                    arch.rotates[index],
                ]
                for index, layer in enumerate(model.layers)
            ],
            np.int64,
        )
        self._head = np.array([*model.head.row, model.norm.scaled.ctypes.data], np.int64)
        self._n_logits = -(-arch.vocab_size // 16) * 16
        self._sizes = np.array([arch.n_heads, arch.n_kv_heads, arch.head_dim, arch.vocab_size], np.int64)

    def fits(self, batch: "Batch", cache: Sequence[LayerCache]) -> bool:
        return isinstance(cache[0], DenseCache) and not (self._is_dense and batch.ids.shape[0] > N_ROWS_DENSE)

    def forward(self, batch: "Batch", cache: Sequence[LayerCache]) -> Tensor | None:
        """As `Transformer.forward`; logits are float32."""
        model, arch = self._model, self._model.arch
        n = batch.ids.shape[0]
        wanted = np.zeros(0, np.int64) if batch.wanted is None else batch.wanted.numpy()
        logits = np.empty((len(wanted), self._n_logits), np.float32)
        positions = batch.positions.numpy()
        blocks, tables = _blocks(batch)
        team(torch.get_num_threads()).run(
            _step,
            self._table,
            self._head,
            np.fromiter((own.address for own in cache if isinstance(own, DenseCache)), np.int64),
            self._sizes,
            np.zeros((_N_STAGES * (arch.n_layers + 1), SPACING), np.int64),
            np.array([cache[0].page_size, arch.kv_size], np.int64),
            np.array([model.norm.floor, arch.head_dim * arch.norm_eps], np.float32),
            model.embedding[batch.ids].float().numpy(),
            self._cos[positions],
            self._sin[positions],
            batch.slots.numpy(),
            positions,
            blocks,
            tables,
            wanted,
            _inputs(n, arch.hidden_size),
            _inputs(n, arch.q_size),
            _inputs(n, arch.intermediate_size),
            np.empty((n, arch.q_size + arch.kv_size), np.float32),
            np.zeros((n, arch.hidden_size), np.float32),
            logits,
        )
        return torch.from_numpy(logits[:, : arch.vocab_size]) if batch.wanted is not None else None


def _inputs(n: int, size: int) -> tuple[Array, Array, Array]:
    """Room for what a matrix takes: [n, size] float32; the same in int8; a scale and a sum a group."""
    return np.empty((n, size), np.float32), np.empty((n, size), np.int8), np.empty((n, size // 32, 2), np.float32)


def _blocks(batch: "Batch") -> tuple[Array, Array]:
    """[n, 3]: first row, rows, text of each block of a text's rows; [n_texts, n_pages]: pages of each text."""
    blocks: list[tuple[int, int, int]] = []
    tables = np.zeros(
        (sum(group.n_sequences for group in batch.groups), max(group.pages.shape[1] for group in batch.groups)),
        np.int64,
    )
    text = 0
    for group in batch.groups:
        tables[text : text + group.n_sequences, : group.pages.shape[1]] = group.pages.numpy()
        for index in range(group.n_sequences):
            first = group.start + index * group.n_queries
            end = first + group.n_queries
            blocks += [(row, min(BLOCK, end - row), text) for row in range(first, end, BLOCK)]
            text += 1
    blocks.reverse()  # the last of a text looks back furthest: long pieces go first
    return np.array(blocks, np.int64), tables


@numba.njit(inline="always", fastmath=FAST)
def _norm(row: Array, weight: Array, floor: float, out: Array) -> None:
    """row, out: [h] float32. `weight` carries √h, `floor` is h·eps."""
    square = np.float32(0)
    for i in range(len(row)):
        square += row[i] * row[i]
    scale = np.float32(1.0) / np.sqrt(square + floor)
    for i in range(len(row)):
        out[i] = row[i] * weight[i] * scale


@compiled
def _step(
    layers: Array,  # [n_layers, _N_COLUMNS] int64: addresses and settings
    head: Array,  # [5] int64
    caches: Array,  # [n_layers] int64: addresses of [n_pages, page_size, kv_size] bits
    sizes: Array,  # [4] int64
    counters: Array,  # [n_stages, SPACING] int64, zeros
    cache_sizes: Array,
    floors: Array,
    hidden: Array,  # [n, h] float32
    cos: Array,  # [n, dim] float32
    sin: Array,
    slots: Array,  # [n] int64
    positions: Array,  # [n] int64
    blocks: Array,
    tables: Array,
    wanted: Array,  # [n_wanted] int64
    normed: tuple[Array, Array, Array],
    attended: tuple[Array, Array, Array],
    gated: tuple[Array, Array, Array],
    qkv: Array,  # [n, (n_heads + 2·n_kv) · dim] float32
    added: Array,  # [n, h] float32, zeros
    logits: Array,  # [n_wanted, vocab, whole tiles] float32
) -> None:
    n, h = hidden.shape
    n_heads, n_kv, dim, vocab = sizes
    page_size, kv_size = cache_sizes
    per_kv = n_heads // n_kv
    m = gated[0].shape[1]
    n_a_piece = max(1, n // 16)
    row_pieces = -(-n // n_a_piece)
    room, powers = np.empty((N_ROWS, 2 * PIECE), np.float32), np.empty((2, PIECE), np.float32)
    stage = 0
    for index in range(len(layers)):
        layer = layers[index]
        weight = carray(floats_at(layer[_NORMS]), h)
        piece = take(counters, stage)
        while piece < row_pieces:
            first, last = piece * n_a_piece, min(n, (piece + 1) * n_a_piece)
            for r in range(first, last):
                for i in range(h):
                    hidden[r, i] += added[r, i]
                _norm(hidden[r], weight, floors[0], normed[0][r])
            quantise(normed[0][first:last], normed[1][first:last], normed[2][first:last], 0, h // 32)
            piece = finish(counters, stage)
        wait(counters, stage, row_pieces)
        stage += 1

        cache = carray(halves_at(caches[index]), (1 << 40, kv_size))
        n_pieces = n_heads + 2 * n_kv
        piece = take(counters, stage)
        while piece < n_pieces:
            at = piece * dim
            multiply(layer[_QKV : _QKV + 4], normed, 0, n, at, at + dim, qkv, at)
            is_query, is_key = piece < n_heads, n_heads <= piece < n_heads + n_kv
            for r in range(n):
                own = qkv[r, at : at + dim]
                if is_query or is_key:
                    norm = layer[_NORMS + 2 if is_query else _NORMS + 3]
                    if norm != 0:
                        _norm(own, carray(floats_at(norm), dim), floors[1], own)
                    if layer[_ROTATES]:
                        turn(own, cos[r], sin[r])
                if not is_query:
                    column = (piece - n_heads) * dim
                    round_bits(own, cache[slots[r], column : column + dim])
            piece = finish(counters, stage)
        wait(counters, stage, n_pieces)
        stage += 1

        n_pieces = len(blocks) * n_kv
        piece = take(counters, stage)
        while piece < n_pieces:
            block, kv = piece // n_kv, piece % n_kv
            first, n_rows, text = blocks[block]
            attend(
                qkv[first : first + n_rows, : n_heads * dim],
                kv * per_kv,
                per_kv,
                kv * dim,
                (n_kv + kv) * dim,
                dim,
                cache,
                page_size,
                tables[text],
                positions[first : first + n_rows],
                layer[_WINDOW],
                attended[0][first : first + n_rows],
            )
            piece = finish(counters, stage)
        wait(counters, stage, n_pieces)
        stage += 1

        piece = take(counters, stage)
        while piece < row_pieces:
            first, last = piece * n_a_piece, min(n, (piece + 1) * n_a_piece)
            quantise(attended[0][first:last], attended[1][first:last], attended[2][first:last], 0, n_heads * dim // 32)
            piece = finish(counters, stage)
        wait(counters, stage, row_pieces)
        stage += 1

        n_pieces = h // PIECE
        piece = take(counters, stage)
        while piece < n_pieces:
            at = piece * PIECE
            multiply(layer[_OUT : _OUT + 4], attended, 0, n, at, at + PIECE, added, at)
            piece = finish(counters, stage)
        wait(counters, stage, n_pieces)
        stage += 1

        weight = carray(floats_at(layer[_NORMS + 1]), h)
        piece = take(counters, stage)
        while piece < row_pieces:
            first, last = piece * n_a_piece, min(n, (piece + 1) * n_a_piece)
            for r in range(first, last):
                for i in range(h):
                    hidden[r, i] += added[r, i]
                _norm(hidden[r], weight, floors[0], normed[0][r])
            quantise(normed[0][first:last], normed[1][first:last], normed[2][first:last], 0, h // 32)
            piece = finish(counters, stage)
        wait(counters, stage, row_pieces)
        stage += 1

        n_pieces = m // PIECE
        piece = take(counters, stage)
        while piece < n_pieces:
            at = piece * PIECE
            for start in range(0, n, len(room)):
                end = min(n, start + len(room))
                multiply(layer[_GATE_UP : _GATE_UP + 4], normed, start, end, 2 * at, 2 * (at + PIECE), room, 0)
                exact, rounded, groups = gated[0][start:end], gated[1][start:end], gated[2][start:end]
                gate(room, powers, end - start, exact, at)
                quantise(exact, rounded, groups, at // 32, at // 32 + 1)
            piece = finish(counters, stage)
        wait(counters, stage, n_pieces)
        stage += 1

        n_pieces = h // PIECE
        piece = take(counters, stage)
        while piece < n_pieces:
            at = piece * PIECE
            multiply(layer[_DOWN : _DOWN + 4], gated, 0, n, at, at + PIECE, added, at)
            piece = finish(counters, stage)
        wait(counters, stage, n_pieces)
        stage += 1

    n_wanted = len(wanted)
    weight = carray(floats_at(head[4]), h)
    piece = take(counters, stage)
    while piece < n_wanted:
        r = wanted[piece]
        for i in range(h):
            hidden[r, i] += added[r, i]
        _norm(hidden[r], weight, floors[0], normed[0][piece])
        quantise(normed[0][piece : piece + 1], normed[1][piece : piece + 1], normed[2][piece : piece + 1], 0, h // 32)
        piece = finish(counters, stage)
    wait(counters, stage, n_wanted)
    stage += 1
    if n_wanted:
        n_pieces = -(-vocab // HEAD_PIECE)
        piece = take(counters, stage)
        while piece < n_pieces:
            at = piece * HEAD_PIECE
            multiply(head[:4], normed, 0, n_wanted, at, min(vocab, at + HEAD_PIECE), logits, at)
            piece = finish(counters, stage)
        wait(counters, stage, n_pieces)
