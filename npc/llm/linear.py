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
    """One scale an output row, symmetric."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self._weight, self._scale, self._bias = tensors["weight"], tensors["scale"], tensors.get("bias")

    def __call__(self, x: Tensor) -> Tensor:
        out = torch._weight_int8pack_mm(x, self._weight, self._scale)
        return out if self._bias is None else out + self._bias

    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        weight = weight.float()
        scale = (weight.abs().amax(1) / 127).clamp_min(1e-8)
        quantised = (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
        return _with_bias({"weight": quantised, "scale": scale.bfloat16()}, bias)


class Int4Linear:
    """A scale and a zero for every `GROUP` weights of a row, asymmetric."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self._weight, self._scale_zero, self._bias = tensors["weight"], tensors["scale_zero"], tensors.get("bias")

    def __call__(self, x: Tensor) -> Tensor:
        out = torch._weight_int4pack_mm_for_cpu(x, self._weight, GROUP, self._scale_zero)
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
        return _with_bias({"weight": packed, "scale_zero": scale_zero.bfloat16()}, bias)


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
