"""Linear layers in the number formats that weights may have, on the kernels that suit each.

A `Linear` is made from float weights by its `pack`, and from its own tensors
when the cache is read. docs/adr/0001-llm-kernels.md says what was measured.
"""

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


class DenseLinear:
    """Weights as they are: bfloat16, or float32 where exactness is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self._weight, self._bias = tensors["weight"], tensors.get("bias")

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight, self._bias)

    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        return _with_bias({"weight": weight}, bias)


class Int8Linear:
    """One scale an output row, symmetric.

    A few rows go through the kernel that widens the weights; many are rounded
    to int8 themselves, a scale a row, and multiplied as integers: four times
    as fast, and the sums are exact in whatever company a row is.
    """

    N_FEW = 8

    def __init__(self, tensors: Mapping[str, Tensor], n_few: int = N_FEW) -> None:
        self.tensors = tensors
        self._n_few = n_few
        self._weight, self._scale, self._bias = tensors["weight"], tensors["scale"], tensors.get("bias")

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[0] <= self._n_few:
            out = torch._weight_int8pack_mm(x, self._weight, self._scale)
        else:
            out = int8_product(x, self._weight, self._scale)
        return out if self._bias is None else out + self._bias

    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        weight = weight.float()
        scale = (weight.abs().amax(1) / 127).clamp_min(1e-8)
        quantised = (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
        return _with_bias({"weight": quantised, "scale": scale.bfloat16()}, bias)


class Int4Linear:
    """A scale and a zero for every `GROUP` weights of a row, asymmetric; and the same in int8, for prompts.

    Four bits halve what a reply's token reads from memory. A prompt is bound
    by arithmetic instead, and there int8 is several times faster.
    """

    N_FEW = 16

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self._packed, self._scale_zero, self._bias = tensors["packed"], tensors["scale_zero"], tensors.get("bias")
        self._weight, self._scale = tensors["weight"], tensors["scale"]

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[0] <= self.N_FEW:
            out = torch._weight_int4pack_mm_for_cpu(x, self._packed, GROUP, self._scale_zero)
        else:
            out = int8_product(x, self._weight, self._scale)
        return out if self._bias is None else out + self._bias

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
        return Int8Linear.pack(weight, bias) | {"packed": packed, "scale_zero": scale_zero.bfloat16()}


def int8_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x: [n, n_in] float, weight: [n_out, n_in] int8, scale: [n_out] → [n, n_out] in x's dtype."""
    row_scale = x.abs().amax(-1, keepdim=True).float().clamp_min(1e-8) / 127  # [n, 1]
    rounded = (x / row_scale).round_().to(torch.int8)
    return torch._int_mm(rounded, weight.t()).mul(row_scale).mul_(scale).to(x.dtype)


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
