"""One pass of the network for a few rows, on buffers that never move: what a CUDA graph can hold.

A row is one token of one text, with the table of its text's pages: replies,
drafts and short prompts are all the same to the kernels. Nothing here waits
for the device, and nothing depends on what lies in its memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol

import torch
from torch import Tensor

from npc.errors import ModelError
from npc.llm.architecture import Architecture
from npc.llm.cache import LayerCache
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.linear import Linear
from npc.llm.model import RmsNorm, Transformer

N_ROWS = 64
BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of rows for which there is a graph; what is missing to the next one is idle rows."""

Mode = Literal["write", "add", "gate"]


class Field(IntEnum):
    """What a choice goes by, a 32-bit number each; the random number's halves, and what is not whole, by their bits."""

    ROW = 0
    SLOT = 1
    IS_MASKED = 2
    TEMPERATURE = 3
    PENALTY = 4
    TOP_P = 5
    TOP_K = 6
    NUMBER_LOW = 7
    NUMBER_HIGH = 8


@dataclass(frozen=True, slots=True)
class Buffers:
    """Everything that a step reads and writes, beside weights and cache."""

    ids: Tensor  # [N_ROWS] int64
    places: Tensor  # [N_ROWS, 1 + n_pages] int32: position, then the pages of the row's text
    hidden: Tensor  # [N_ROWS, hidden] float32
    qkv: Tensor  # [N_ROWS, q_size + kv_size]
    queries: Tensor  # [N_ROWS, q_size]
    attended: Tensor  # [N_ROWS, q_size]
    gated: Tensor  # [N_ROWS, intermediate]
    logits: Tensor  # [N_ROWS, vocab] float32
    params: Tensor  # [N_ROWS, len(Field)] int32
    masks: Tensor  # [N_ROWS, ⌈vocab / 32⌉] int32, a bit a token
    said: Tensor  # [N_ROWS, vocab] int8: by slot
    chosen: Tensor  # [N_ROWS] int64

    @classmethod
    def make(cls, arch: Architecture, n_pages: int, dtype: torch.dtype, device: torch.device) -> "Buffers":
        def room(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
            return torch.zeros(N_ROWS, *shape, dtype=dtype, device=device)

        return cls(
            ids=room(dtype=torch.int64),
            places=room(1 + n_pages, dtype=torch.int32),
            hidden=room(arch.hidden_size, dtype=torch.float32),
            qkv=room(arch.q_size + arch.kv_size),
            queries=room(arch.q_size),
            attended=room(arch.q_size),
            gated=room(arch.intermediate_size),
            logits=room(arch.vocab_size, dtype=torch.float32),
            params=room(len(Field), dtype=torch.int32),
            masks=room(-(-arch.vocab_size // 32), dtype=torch.int32),
            said=room(arch.vocab_size, dtype=torch.int8),
            chosen=room(dtype=torch.int64),
        )

    @staticmethod
    def n_bytes(arch: Architecture, n_pages: int) -> int:
        """About what `make` takes, in bfloat16."""
        row = 4 * arch.hidden_size + 2 * (3 * arch.q_size + arch.kv_size + arch.intermediate_size) + 4 * n_pages
        return N_ROWS * (row + 6 * arch.vocab_size)


class Ops(Protocol):
    """The parts of a step. `n` is the number of rows, of which each buffer's first are meant."""

    def product(
        self, x: Tensor, linear: DeviceLinear, out: Tensor, n: int, norm: RmsNorm | None = None, mode: Mode = "write"
    ) -> None:
        """out = linear(norm(x)), added to what is there ('add'), or silu of its gates times the rest ('gate')."""
        ...

    def place(self, index: int, buffers: Buffers, cache: LayerCache, n: int) -> None:
        """Of layer `index`: rotated queries into `queries`; keys, rotated, and values into the cache."""
        ...

    def look(self, index: int, buffers: Buffers, cache: LayerCache, n: int) -> None:
        """`queries` over their texts' keys and values into `attended`."""
        ...

    def choose(self, buffers: Buffers, n: int) -> None:
        """A token by each of the first `n` of `params` into `chosen` and `ids`, noted in `said`."""
        ...


class Step:
    def __init__(self, model: Transformer, cache: Sequence[LayerCache], buffers: Buffers, ops: Ops) -> None:
        self._model, self._cache, self._ops = model, cache, ops
        self.buffers = buffers
        self._head = on_device(model.head)
        self._layers = [
            tuple(on_device(each) for each in (layer.qkv, layer.out, layer.gate_up, layer.down))
            for layer in model.layers
        ]

    def forward(self, n: int) -> None:
        """From `ids` and `places` to `logits`."""
        model, ops, own = self._model, self._ops, self.buffers
        own.hidden[:n].copy_(model.embedding.index_select(0, own.ids[:n]))
        for index, (layer, linears) in enumerate(zip(model.layers, self._layers, strict=True)):
            qkv, out, gate_up, down = linears
            ops.product(own.hidden, qkv, own.qkv, n, layer.attention_norm)
            ops.place(index, own, self._cache[index], n)
            ops.look(index, own, self._cache[index], n)
            ops.product(own.attended, out, own.hidden, n, mode="add")
            ops.product(own.hidden, gate_up, own.gated, n, layer.mlp_norm, mode="gate")
            ops.product(own.gated, down, own.hidden, n, mode="add")
        ops.product(own.hidden, self._head, own.logits, n, model.norm)

    def choose(self, n: int) -> None:
        """From `logits` to `chosen`."""
        self._ops.choose(self.buffers, n)


def on_device(linear: Linear) -> DeviceLinear:
    if not isinstance(linear, DeviceLinear):
        raise ModelError("these weights were loaded for a CPU; load them with kind=DeviceLinear")
    return linear
