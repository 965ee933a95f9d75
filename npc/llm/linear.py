"""Linear layers in the number formats that weights may have, on the kernels that suit each.

A `Linear` is made from float weights by its `pack`, and from its own tensors
when the cache is read. docs/adr/0001-llm-kernels.md says what was measured.
"""

import functools
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

GROUP = 32
"""Weights that share a scale and a zero in int4: the group of GGUF's Q4_1, so that its grid survives."""


class Linear(Protocol):
    def __call__(self, x: Tensor) -> Tensor:
        """x: [n, n_in] → [n, n_out], both in the model's dtype."""
        ...

    @property
    def tensors(self) -> Mapping[str, Tensor]: ...


class Scratch:
    """Room for one dequantised matrix at a time, shared by the layers of a model: none of them pays for fresh pages."""

    def __init__(self) -> None:
        self._rooms: dict[torch.dtype, Tensor] = {}

    def take(self, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """[n], with whatever the last user left in it."""
        room = self._rooms.get(dtype)
        if room is None or len(room) < n:
            room = self._rooms[dtype] = torch.empty(n, dtype=dtype, device=device)
        return room[:n]


class DenseLinear:
    """Weights as they are: bfloat16, or float32 where exactness is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor], scratch: Scratch | None = None) -> None:
        self.tensors = tensors
        self._weight, self._bias = tensors["weight"], tensors.get("bias")

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight, self._bias)

    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        return _with_bias({"weight": weight}, bias)


class Int8Linear:
    """One scale an output row, symmetric.

    A few rows go through the kernel that reads int8; for many the weights are widened to bfloat16 first, which costs
    less than that kernel loses. Activations are never rounded: in int8 they cost the logits a sixth of their signal.
    """

    N_FEW = 24

    def __init__(self, tensors: Mapping[str, Tensor], scratch: Scratch | None = None, n_few: int = N_FEW) -> None:
        self.tensors = tensors
        self._scratch, self._n_few = scratch or Scratch(), n_few
        self._weight, self._scale, self._bias = tensors["weight"], tensors["scale"], tensors.get("bias")

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[0] <= self._n_few:
            out = torch._weight_int8pack_mm(x, self._weight, self._scale)
        else:
            out = F.linear(x, self.dequantised())
        return out if self._bias is None else out + self._bias

    def dequantised(self) -> Tensor:
        """[n_out, n_in] bfloat16, until the scratch is used again."""
        weight = self._scratch.take(self._weight.numel(), torch.bfloat16, self._weight.device)
        return weight.view_as(self._weight).copy_(self._weight).mul_(self._scale[:, None])

    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        weight = weight.float()
        scale = (weight.abs().amax(1) / 127).clamp_min(1e-8)
        quantised = (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
        return _with_bias({"weight": quantised, "scale": scale.bfloat16()}, bias)


class Int4Linear:
    """A scale and a zero for every `GROUP` weights of a row, asymmetric.

    Four bits halve what a reply's token reads from memory. A prompt is bound by arithmetic instead: there the same
    weights are unpacked into bfloat16, a matrix at a time, which is slower below `N_FEW` rows and quicker above.
    """

    N_FEW = 64

    def __init__(self, tensors: Mapping[str, Tensor], scratch: Scratch | None = None) -> None:
        self.tensors = tensors
        self._scratch = scratch or Scratch()
        self._packed, self._scale_zero, self._bias = tensors["packed"], tensors["scale_zero"], tensors.get("bias")
        self._n_out, self._n_in = self._packed.shape[0], 2 * self._packed.shape[1]
        block = _packing_block()
        self._block = block if self._n_out % block == 0 else 0

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[0] <= self.N_FEW or self._block == 0:
            out = torch._weight_int4pack_mm_for_cpu(x, self._packed, GROUP, self._scale_zero)
        else:
            out = x @ self.dequantised()
        return out if self._bias is None else out + self._bias

    def dequantised(self) -> Tensor:
        """[n_in, n_out] bfloat16, until the scratch is used again."""
        n, half, device = self._n_in * self._n_out, self._block // 2, self._packed.device
        packed = self._packed.view(self._n_out // self._block, self._n_in, half)
        levels = self._scratch.take(n // 2, torch.uint8, device).view_as(packed)
        weight = self._scratch.take(n, torch.bfloat16, device)
        halves = weight.view(self._n_in, self._n_out // self._block, 2, half)
        halves[:, :, 0].copy_(torch.bitwise_and(packed, 15, out=levels).transpose(0, 1))
        halves[:, :, 1].copy_(torch.bitwise_right_shift(packed, 4, out=levels).transpose(0, 1))
        groups = weight.view(-1, GROUP, self._n_out)
        scale, zero = self._scale_zero.float().unbind(-1)  # [n_groups, n_out]
        low = (zero - 8 * scale).bfloat16()
        torch.addcmul(low[:, None], groups, scale.bfloat16()[:, None], out=groups)
        return weight.view(self._n_in, self._n_out)

    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        n_out, n_in = weight.shape
        groups = weight.float().view(n_out, n_in // GROUP, GROUP)
        low, high = groups.amin(-1), groups.amax(-1)
        scale = ((high - low) / 15).clamp_min(1e-8)
        levels = ((groups - low[..., None]) / scale[..., None]).round().clamp(0, 15)
        packed = torch._convert_weight_to_int4pack_for_cpu(levels.to(torch.int32).view(n_out, n_in), 2)
        # The kernel computes (level - 8) * scale + zero.
        scale_zero = torch.stack((scale, low + 8 * scale), -1).transpose(0, 1).contiguous()
        return _with_bias({"packed": packed, "scale_zero": scale_zero.bfloat16()}, bias)


@functools.cache
def _packing_block() -> int:
    """How many rows torch's int4 packing interleaves on this processor; more than any matrix has if in another way.

    Within a block, each column's levels lie together: the first half of the rows in the low four bits of its bytes,
    the second half in the high ones.
    """
    levels = torch.randint(0, 16, (128, 32), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    packed = torch._convert_weight_to_int4pack_for_cpu(levels, 2)
    for block in (64, 32):
        split = levels.view(-1, 2, block // 2, 32)  # [n_blocks, half, row, column]
        expected = (split[:, 0] | split[:, 1] << 4).transpose(1, 2).to(torch.uint8)
        if torch.equal(packed.view_as(expected), expected):
            return block
    return 2**62


FORMATS: Mapping[str, type[DenseLinear | Int8Linear | Int4Linear]] = {
    "float32": DenseLinear,
    "bf16": DenseLinear,
    "int8": Int8Linear,
    "int4": Int4Linear,
}


def fits(weights: str, weight: Tensor) -> bool:
    """Whether the format's kernel takes a matrix of this shape."""
    n_out, n_in = weight.shape
    return weights != "int4" or (n_in % GROUP == 0 and n_out % 16 == 0)


def _with_bias(tensors: dict[str, Tensor], bias: Tensor | None) -> dict[str, Tensor]:
    return tensors if bias is None else {**tensors, "bias": bias}
