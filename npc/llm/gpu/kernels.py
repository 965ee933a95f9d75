"""The steps' parts by Triton: what is launched, with which shapes of blocks.

The shapes are starting points; `tuning.py` finds better ones on the device
that it is run on, and what it found is read from a file beside the weights.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from npc.llm.cache import DenseCache, Int8Cache, LayerCache
from npc.llm.gpu import choosing, looking
from npc.llm.gpu import product as products
from npc.llm.gpu.linear import DeviceLinear, Kind
from npc.llm.gpu.step import BUCKETS, N_ROWS, Buffers, Field, Mode
from npc.llm.model import RmsNorm, Transformer, n_together

_KINDS = {"dense": products.DENSE, "int8": products.INT8, "int4": products.INT4}
_MODES = {"write": products.WRITE, "add": products.ADD, "gate": products.GATE}
_CHUNK = 2048
"""Logits that one program looks through for the greatest."""
_KEYS = 32
"""Keys that a program looks at at a time."""
_N_PROGRAMS = 132
"""About how many programs keep a device busy: one for each multiprocessor of an H200."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a product is cut up: outputs and inputs of a program's tile, warps, stages of the loop over inputs."""

    n_out: int
    n_in: int
    n_warps: int = 4
    n_stages: int = 1
    n_splits: int = 1
    """Parts of the inputs, a program each."""
    by_units: bool = True
    """On the matrix units, which take 8 rows at least; else by plain arithmetic, for some rows."""


A_WARP = {"int4": 1024, "int8": 256, "dense": 256}
"""Inputs that a warp's threads load at once: 16 bytes each, and 8 of int8."""
MOST_PLAIN = {"int4": 4, "int8": 1, "dense": 8}
"""Rows that plain arithmetic is tried for; what a thread keeps of each is in its registers."""
_UNPACKED = 32
"""Rows of int4 that a program unpacks."""
_MOST_SUMS = 2**23
"""Numbers that the parts of a split product may leave."""
_MOST_PROGRAMS = 2**13

Tuned = Mapping[tuple[str, int, int, int], Blocks]
"""By kind of matrix, n_out, n_in, and rows, which are a power of two."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """What lies between the kernels of one product: normalised rows, and where the parts of a split one meet."""

    normed: Tensor  # [N_ROWS, hidden]
    sums: Tensor
    arrived: Tensor

    @classmethod
    def make(cls, hidden_size: int, dtype: torch.dtype, device: torch.device) -> "Scratch":
        return cls(
            torch.zeros(N_ROWS, hidden_size, dtype=dtype, device=device),
            torch.zeros(_MOST_SUMS, device=device),
            torch.zeros(_MOST_PROGRAMS, dtype=torch.int32, device=device),
        )

    @staticmethod
    def holds(blocks: Blocks, n_out: int, n_rows: int) -> bool:
        n_programs = -(-n_out // blocks.n_out)
        sums = blocks.n_splits * n_programs * blocks.n_out * max(8, power_of_two(n_rows))
        return blocks.n_splits == 1 or (sums <= _MOST_SUMS and n_programs <= _MOST_PROGRAMS)


def default_blocks(kind: Kind, n_out: int, n_in: int, n_rows: int) -> Blocks:
    is_small = n_out * n_in < 2**22
    if n_rows <= (MOST_PLAIN[kind] if is_small and kind == "dense" else 1) and kind != "int8":
        return plain(kind, 8 if n_out > 8192 else 4, 4, n_in)
    n_splits = 1 if n_out > 8192 or n_in < 2048 else 4
    if kind == "int4":
        return Blocks(64 if n_rows <= 16 else 128, 256, 2 if n_rows <= 16 else 4, 3, n_splits)
    return Blocks(64, 128, 4, 3, n_splits)


def plain(kind: Kind, n_out: int, n_warps: int, n_in: int) -> Blocks:
    """Without matrix units: as many inputs at once as there are strips for all threads, if the matrix has so many."""
    n_inputs = min(n_warps * A_WARP[kind], max(128, power_of_two(n_in)))
    return Blocks(n_out, n_inputs, max(1, n_inputs // A_WARP[kind]), by_units=False)


def power_of_two(n: int) -> int:
    """The least that is not below `n`."""
    return 1 << (n - 1).bit_length()


class TritonOps:
    def __init__(self, model: Transformer, tuned: Tuned | None = None) -> None:
        arch, device = model.arch, model.device
        self._model, self._tuned = model, dict(tuned or {})
        cos, sin = arch.rotary.tables(arch.head_dim, model.n_positions)
        self._cos, self._sin = cos.contiguous().to(device), sin.contiguous().to(device)
        self._head_norms = [
            torch.stack((layer.q_norm.weight, layer.k_norm.weight)) if layer.q_norm and layer.k_norm else None
            for layer in model.layers
        ]
        self._scratch = Scratch.make(arch.hidden_size, model.dtype, device)
        n_splits = self.n_splits(1)
        self._sums = torch.zeros(N_ROWS * n_splits, arch.q_size, device=device)
        self._weights = torch.zeros(N_ROWS * n_splits, arch.n_heads, 2, device=device)
        n_chunks = -(-arch.vocab_size // _CHUNK)
        self._scores = torch.zeros(N_ROWS, arch.vocab_size, device=device)
        self._best = torch.zeros(N_ROWS, n_chunks, device=device)
        self._best_at = torch.zeros(N_ROWS, n_chunks, dtype=torch.int32, device=device)

    @staticmethod
    def suits(model: Transformer) -> bool:
        """Whether the kernels take the shape: tl.arange wants powers of two, tl.dot at least 16."""
        dim = model.arch.head_dim
        return dim == power_of_two(dim) and dim >= 16

    def n_splits(self, n_rows: int) -> int:
        """Into how many parts each row's past is cut: few rows leave multiprocessors idle, many do not."""
        wanted = _N_PROGRAMS // (n_rows * self._model.arch.n_kv_heads)
        most = power_of_two(-(-self._model.n_positions // _KEYS))
        return min(32, most, 1 << max(0, wanted.bit_length() - 1))

    def blocks(self, linear: DeviceLinear, n_rows: int) -> Blocks:
        """What was found for so many rows, or for some more; the search may have ended before it came to them."""
        shape = linear.kind, linear.n_out, linear.n_in
        tried = (self._tuned.get((*shape, n)) for n in BUCKETS if n_rows <= n <= max(8, power_of_two(n_rows)))
        return next(filter(None, tried), None) or default_blocks(*shape, power_of_two(n_rows))

    def product(
        self, x: Tensor, linear: DeviceLinear, out: Tensor, n: int, norm: RmsNorm | None = None, mode: Mode = "write"
    ) -> None:
        multiply(x, linear, out, n, self.blocks(linear, n), self._scratch, norm, mode)

    def place(self, index: int, buffers: Buffers, cache: LayerCache, n: int) -> None:
        arch, norms = self._model.arch, self._head_norms[index]
        pages, scales = _parts(cache)
        looking.place[n, arch.n_heads + 2 * arch.n_kv_heads](
            buffers.qkv,
            buffers.queries,
            pages,
            pages if scales is None else scales,
            buffers.places,
            self._cos,
            self._sin,
            self._cos if norms is None else norms,
            arch.head_dim * arch.norm_eps,
            arch.n_heads,
            arch.n_kv_heads,
            buffers.places.stride(0),
            DIM=arch.head_dim,
            PAGE=cache.page_size,
            ROTATES=arch.rotates[index],
            NORMED=norms is not None,
            INT8=scales is not None,
            num_warps=1,
        )

    def look(self, index: int, buffers: Buffers, cache: LayerCache, n: int) -> None:
        arch = self._model.arch
        pages, scales = _parts(cache)
        per_kv, n_splits = arch.n_heads // arch.n_kv_heads, self.n_splits(n)
        looking.look[n, arch.n_kv_heads, n_splits](
            buffers.queries,
            pages,
            pages if scales is None else scales,
            buffers.places,
            self._sums,
            self._weights,
            buffers.attended,
            arch.head_dim**-0.5,
            arch.n_kv_heads,
            arch.windows[index],
            buffers.places.stride(0),
            DIM=arch.head_dim,
            PER_KV=per_kv,
            HEADS=max(16, power_of_two(per_kv)),
            PAGE=cache.page_size,
            BLOCK=_KEYS,
            SPLITS=n_splits,
            INT8=scales is not None,
            UNITS=_units(buffers.queries),
            num_warps=4,
        )
        if n_splits > 1:
            looking.merge[n, arch.n_heads](
                self._sums,
                self._weights,
                buffers.attended,
                arch.n_heads,
                DIM=arch.head_dim,
                SPLITS=n_splits,
                num_warps=2,
            )

    def choose(self, buffers: Buffers, n: int) -> None:
        vocab, n_chunks = self._model.arch.vocab_size, self._best.shape[1]
        choosing.score[n, n_chunks](
            buffers.logits,
            buffers.params,
            buffers.said,
            buffers.masks,
            self._scores,
            self._best,
            self._best_at,
            vocab,
            buffers.masks.shape[1],
            n_chunks,
            N_FIELDS=len(Field),
            BLOCK=_CHUNK,
        )
        choosing.choose[n,](
            buffers.params,
            self._scores,
            self._best,
            self._best_at,
            buffers.said,
            buffers.chosen,
            buffers.ids,
            vocab,
            n_chunks,
            N_FIELDS=len(Field),
            BLOCK=_CHUNK,
            CHUNKS=power_of_two(n_chunks),
            num_warps=8,
        )


def multiply(
    x: Tensor,
    linear: DeviceLinear,
    out: Tensor,
    n: int,
    blocks: Blocks,
    scratch: Scratch,
    norm: RmsNorm | None = None,
    mode: Mode = "write",
    is_launched: bool = True,
) -> None:
    """As `Ops.product`, cut into `blocks`. Where it is not launched, the product is compiled alone."""
    if norm is not None and blocks.by_units:  # once, for all the programs that read it
        if is_launched:
            size = linear.n_in
            products.normalise[n,](
                x, norm.weight, norm.floor, scratch.normed, size, BLOCK=power_of_two(size), num_warps=8
            )
        x, norm = scratch.normed, None
    grid = (-(-linear.n_out // blocks.n_out), blocks.n_splits)
    call = products.product[grid] if is_launched else functools.partial(products.product.warmup, grid=grid)
    call(
        x,
        x if norm is None else norm.weight,
        0.0 if norm is None else norm.floor,
        linear.weight,
        linear.weight if linear.scales is None else linear.scales,
        linear.weight if linear.bias is None else linear.bias,
        out,
        scratch.sums,
        scratch.arrived,
        n,
        linear.n_in,
        linear.n_out,
        n_together(linear.n_out // 2),
        KIND=_KINDS[linear.kind],
        MODE=_MODES[mode],
        NORMED=norm is not None,
        BIASED=linear.bias is not None,
        BY_UNITS=blocks.by_units,
        BM=max(8 if blocks.by_units else 1, power_of_two(n)),
        BN=blocks.n_out,
        BK=blocks.n_in,
        SPLITS=blocks.n_splits,
        STAGES=blocks.n_stages,
        EVEN=linear.n_in % blocks.n_in == 0 and linear.n_out % blocks.n_out == 0,
        UNITS=_units(x),
        num_warps=blocks.n_warps,
    )


def unpack(linear: DeviceLinear) -> Tensor:
    """The weights of an int4 matrix, [n_out, n_in] in its `dtype`."""
    out = torch.empty(linear.n_out, linear.n_in, dtype=linear.dtype, device=linear.weight.device)
    grid = (-(-linear.n_out // _UNPACKED), linear.weight.shape[1])
    products.unpack[grid](linear.weight, linear.scales, out, linear.n_in, linear.n_out, ROWS=_UNPACKED)
    return out


def _units(x: Tensor) -> Any:  # one of Triton's types
    """What the matrix units are fed: the interpreter on a CPU knows no products of bfloat16."""
    return triton.language.bfloat16 if x.is_cuda else triton.language.float32


def _parts(cache: LayerCache) -> tuple[Any, Any]:  # tensors, the second None where the cache is not rounded
    if isinstance(cache, Int8Cache):
        return cache.pages, cache.scales
    if isinstance(cache, DenseCache):
        return cache.pages, None
    raise TypeError(f"no kernels for a {type(cache).__name__}")
