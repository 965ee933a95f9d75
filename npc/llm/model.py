"""The network: one Llama-family transformer, driven by its `Architecture`.

Tokens of all sequences lie in one flat row, so that every linear layer runs
once a step. Attention alone knows sequences: rows are grouped into `Group`s
of equal length, which read their keys and values through page tables.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

from npc.llm.architecture import Architecture
from npc.llm.cache import DenseCache, LayerCache
from npc.llm.layout import PIECE
from npc.llm.linear import DenseLinear, Linear, PackedLinear

if TYPE_CHECKING:
    from npc.llm.fused import FusedStep


class RmsNorm:
    """x · weight / sqrt(mean(x²) + eps) over the last dimension (arXiv 1910.07467).

    Written as √n · x · weight / hypot(‖x‖, √(n·eps)): four kernels, where
    torch's own rms_norm launches more than twice as many on a CPU.
    """

    def __init__(self, weight: Tensor, eps: float, dtype: torch.dtype) -> None:
        n = weight.shape[0]
        self.weight = weight.float() * math.sqrt(n)
        self._floor = torch.tensor(math.sqrt(n * eps), device=weight.device)
        self._dtype = dtype
        self.floor = n * eps

    @property
    def scaled(self) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
        """√n · weight, on a CPU."""
        return self.weight.numpy()

    def __call__(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return (x * self.weight / torch.hypot(length, self._floor)).to(self._dtype)


@dataclass(frozen=True, slots=True)
class Layer:
    qkv: Linear
    out: Linear
    gate_up: Linear
    down: Linear
    attention_norm: RmsNorm
    mlp_norm: RmsNorm
    q_norm: RmsNorm | None = None
    k_norm: RmsNorm | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences that feed equally many tokens in this step."""

    start: int
    n_sequences: int
    n_queries: int
    pages: Tensor  # [n_sequences, n_pages] int64; a shorter text's are filled up with any page
    is_whole: bool = False
    """Each sequence is fed from its first token on: what it may look at needs no mask."""


@dataclass(frozen=True, slots=True)
class Batch:
    ids: Tensor  # [n] int64
    positions: Tensor  # [n] int64
    slots: Tensor  # [n] int64: page * page_size + offset, where each token's keys and values go
    groups: Sequence[Group]
    wanted: Tensor | None  # [n_logits] int64: rows whose logits are asked for; None: none


def interleave(gate_up: Sequence[Tensor]) -> Tensor:
    """Rows of `gate_proj` and `up_proj`, [intermediate, …] each, in turns: who has some of one has their others."""
    n = n_together(len(gate_up[0]))
    return torch.stack([each.view(-1, n, *each.shape[1:]) for each in gate_up], 1).flatten(0, 2)


def n_together(n: int) -> int:
    """Of the two kinds of `n` rows each that lie in turns: how many of one come before the other's."""
    return PIECE if n % PIECE == 0 else n


def ungate(both: Tensor) -> tuple[Tensor, Tensor]:
    """[n, 2 · intermediate] in turns → gates and ups, [n, …, together] each."""
    gate, up = both.view(len(both), -1, 2, n_together(both.shape[-1] // 2)).unbind(-2)
    return gate, up


class Transformer:
    def __init__(
        self,
        arch: Architecture,
        embedding: Tensor,  # [vocab, hidden]
        layers: Sequence[Layer],
        norm: RmsNorm,
        head: Linear,
        n_positions: int,
        dtype: torch.dtype,
    ) -> None:
        self.arch, self.dtype, self.n_positions = arch, dtype, n_positions
        self.device = embedding.device
        self.embedding, self.layers, self.norm, self.head = embedding, tuple(layers), norm, head
        cos, sin = arch.rotary.tables(arch.head_dim, n_positions)
        self._cos, self._sin = cos.to(self.device, dtype), sin.to(self.device, dtype)
        self._fused = self._fuse()

    def forward(self, batch: Batch, cache: Sequence[LayerCache]) -> Tensor | None:
        """Logits [n_logits, vocab] of the wanted rows; new keys and values go into `cache`."""
        if self._fused is not None and self._fused.fits(batch, cache):
            return self._fused.forward(batch, cache)
        return self.forward_plainly(batch, cache)

    def _fuse(self) -> "FusedStep | None":
        """The step for a CPU, in bfloat16, where the shape is one that it takes."""
        arch = self.arch
        sizes = arch.hidden_size, arch.q_size, arch.intermediate_size
        is_for_cpu = self.device.type == "cpu" and isinstance(self.head, DenseLinear | PackedLinear)
        if not is_for_cpu or self.dtype != torch.bfloat16 or arch.head_dim % 16 or any(n % PIECE for n in sizes):
            return None
        from npc.llm.fused import FusedStep  # with a compiler that nothing else needs

        return FusedStep(self)

    def warm_up(self) -> None:
        """Have what is compiled compiled (once: it is kept on disk), and the weights in memory."""
        pages = torch.zeros(1, 1, dtype=torch.int64)
        nothing = torch.zeros(1, dtype=torch.int64)
        cache = DenseCache(self.arch, 1, 1, self.dtype, self.device)
        batch = Batch(nothing, nothing, nothing, [Group(0, 1, 1, pages.to(self.device))], nothing)
        with torch.inference_mode():
            self.forward(batch, [cache] * self.arch.n_layers)
        if self._fused is not None:
            from npc.llm.compiled import forget_compiler

            forget_compiler()

    def forward_plainly(self, batch: Batch, cache: Sequence[LayerCache]) -> Tensor | None:
        """The same on any device, for any number of rows."""
        hidden = self.embedding[batch.ids].float()  # [n, hidden]; what layers add up is kept in float32
        cos, sin = self._cos[batch.positions], self._sin[batch.positions]  # [n, 1, head_dim]
        masks = [self._masks(group, batch.positions, cache[0].page_size) for group in batch.groups]
        for index, layer in enumerate(self.layers):
            attended = self._attend(index, layer, layer.attention_norm(hidden), cos, sin, batch, cache[index], masks)
            hidden = hidden + layer.out(attended)
            gate, up = ungate(layer.gate_up(layer.mlp_norm(hidden)))
            hidden = hidden + layer.down(F.silu(gate).mul(up).flatten(-2))
        if batch.wanted is None:
            return None
        return self.head(self.norm(hidden[batch.wanted]))

    def _attend(
        self,
        index: int,
        layer: Layer,
        hidden: Tensor,
        cos: Tensor,
        sin: Tensor,
        batch: Batch,
        cache: LayerCache,
        masks: Sequence[dict[int, Tensor]],
    ) -> Tensor:
        arch = self.arch
        n, dim, half = hidden.shape[0], arch.head_dim, arch.head_dim // 2
        qkv = layer.qkv(hidden)  # [n, q_size + kv_size]
        heads = qkv.view(n, arch.n_heads + 2 * arch.n_kv_heads, dim)
        turned = heads[:, : arch.n_heads + arch.n_kv_heads]  # q and k lie side by side: rotated together
        if layer.q_norm is not None and layer.k_norm is not None:
            queries, keys = turned[:, : arch.n_heads], turned[:, arch.n_heads :]
            queries.copy_(layer.q_norm(queries))
            keys.copy_(layer.k_norm(keys))
        if arch.rotates[index]:
            turned.copy_(torch.addcmul(turned * cos, turned.roll(half, -1), sin))
        cache.write(batch.slots, qkv[:, arch.q_size :])
        window = arch.windows[index]
        parts = [
            self._attend_group(heads, group, cache, own.get(window))
            for group, own in zip(batch.groups, masks, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend_group(self, heads: Tensor, group: Group, cache: LayerCache, mask: Tensor | None) -> Tensor:
        """Attention of one group, [n_sequences * n_queries, q_size].

        The queries that share a key head are laid out as if they were more
        positions, so that keys and values need not be repeated for them.
        """
        arch = self.arch
        b, t, kv, dim = group.n_sequences, group.n_queries, arch.n_kv_heads, arch.head_dim
        per_kv = arch.n_heads // kv
        rows = heads[group.start : group.start + b * t, : arch.n_heads]
        query = rows.view(b, t, kv, per_kv, dim).permute(0, 2, 3, 1, 4).reshape(b, kv, per_kv * t, dim)
        pages = cache.read(group.pages.view(-1))  # [b * n_pages, page_size, kv_size]
        keys_values = pages.view(b, -1, 2, kv, dim)
        keys, values = keys_values[:, :, 0].transpose(1, 2), keys_values[:, :, 1].transpose(1, 2)
        if mask is None:
            shape = (b * kv, per_kv, t, dim)  # the key heads become the batch, and every query head of it sees one
            keys, values = (x[:, :, :t].reshape(b * kv, 1, t, dim).expand(shape) for x in (keys, values))
            out = F.scaled_dot_product_attention(query.view(shape), keys, values, is_causal=True)
        else:
            out = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        return out.view(b, kv, per_kv, t, dim).permute(0, 3, 1, 2, 4).reshape(b * t, arch.q_size)

    def _masks(self, group: Group, positions: Tensor, page_size: int) -> dict[int, Tensor]:
        """By window: [n_sequences, 1, q_per_kv * n_queries, n_pages * page_size], added to the scores.

        None for layers that look back at all of a text that is fed whole.
        """
        arch, rows = self.arch, slice(group.start, group.start + group.n_sequences * group.n_queries)
        at = positions[rows].view(group.n_sequences, group.n_queries, 1)
        keys = torch.arange(group.pages.shape[1] * page_size, device=self.device)
        masks = {}
        for window in set(arch.windows):
            if window == 0 and group.is_whole:
                continue
            seen = keys <= at if window == 0 else (keys <= at) & (keys > at - window)
            mask = torch.zeros(seen.shape, dtype=self.dtype, device=self.device).masked_fill_(~seen, -torch.inf)
            masks[window] = mask.repeat(1, arch.n_heads // arch.n_kv_heads, 1)[:, None]
        return masks
