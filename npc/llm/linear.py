"""Linear layers in the number formats that weights may have.

A `Linear` is made from float weights by its `pack`, and from its own tensors
when the cache is read. docs/adr/0001-llm-kernels.md says what was measured.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

from npc.llm.layout import BF16, GROUP, INT4, INT8, LANES


class Linear(Protocol):
    @property
    def tensors(self) -> Mapping[str, Tensor]: ...

    @property
    def row(self) -> tuple[int, int, int, int]:
        """For compiled loops: the kind (see kernels.py), and where weights, scales and bias lie, 0 for none."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """x: [n, n_in] → [n, n_out], both in the model's dtype."""
        ...


class DenseLinear:
    """Weights as they are: bfloat16, or float32 where exactness is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self._weight, self._bias = tensors["weight"], tensors.get("bias")
        self._wide_bias = _wide(self._bias)

    @property
    def row(self) -> tuple[int, int, int, int]:
        return BF16, self._weight.data_ptr(), 0, _address(self._wide_bias)

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight, self._bias)

    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        return _with_bias({"weight": weight}, bias)


class PackedLinear:
    """Weights of 4 or 8 bits, on a CPU: `LANES` rows side by side, in the order in which `simd.tiles` reads them.

    In int4 every `GROUP` weights of a row share a scale and a low: the grid of GGUF's Q4_1. In int8 a row has a scale.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self._packed, self._scale = tensors["packed"], tensors.get("scale")
        self._wide_bias = _wide(tensors.get("bias"))
        self._n_out = int(tensors["shape"][0])
        self._matrix = np.array(self.row, np.int64)

    @property
    def row(self) -> tuple[int, int, int, int]:
        kind = INT4 if self._scale is None else INT8
        return kind, self._packed.data_ptr(), _address(self._scale), _address(self._wide_bias)

    def __call__(self, x: Tensor) -> Tensor:
        # The compiler of the loops is needed by those alone who run them: not on another device.
        from npc.llm.kernels import product
        from npc.llm.team import SPACING, team

        inputs = x.float().numpy()
        out = np.empty((len(inputs), self._packed.shape[0] * LANES), np.float32)
        team(torch.get_num_threads()).run(product, self._matrix, inputs, out, np.zeros(SPACING, np.int64))
        return torch.from_numpy(out[:, : self._n_out]).to(x.dtype)


class Int4Linear(PackedLinear):
    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        n_out, n_in = weight.shape
        groups = _whole_tiles(weight).view(-1, n_in // GROUP, GROUP)
        low, high = groups.amin(-1), groups.amax(-1)
        # What is stored is what is divided by: its own rounding costs little.
        scale = ((high - low) / 15).clamp_min(1e-7).half()
        low = low.half()
        levels = ((groups - low.float()[..., None]) / scale.float()[..., None]).round().clamp(0, 15).to(torch.uint8)
        # A byte holds two inputs that stand four apart; see simd._unpack.
        parts = levels.view(-1, LANES, n_in // GROUP, 4, 2, 4).permute(0, 2, 3, 1, 4, 5)
        packed = (parts[..., 0, :] | parts[..., 1, :] << 4).flatten(2)
        records = [
            _side_by_side(scale).view(torch.uint8),
            _side_by_side(low).view(torch.uint8),
            packed,
        ]
        return _with_bias({"packed": torch.cat(records, -1), "shape": torch.tensor([n_out, n_in])}, bias)


class Int8Linear(PackedLinear):
    @staticmethod
    def pack(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        n_out, n_in = weight.shape
        whole = _whole_tiles(weight)
        scale = (whole.abs().amax(1) / 127).clamp_min(1e-8)
        levels = ((whole / scale[:, None]).round().clamp(-127, 127) + 128).to(torch.uint8)  # without a sign
        packed = levels.view(-1, LANES, n_in // GROUP, GROUP // 4, 4).permute(0, 2, 3, 1, 4).flatten(2)
        return _with_bias({"packed": packed, "scale": scale, "shape": torch.tensor([n_out, n_in])}, bias)


FORMATS: Mapping[str, type[DenseLinear | Int8Linear | Int4Linear]] = {
    "float32": DenseLinear,
    "bf16": DenseLinear,
    "int8": Int8Linear,
    "int4": Int4Linear,
}


def fits(weights: str, weight: Tensor) -> bool:
    """Whether a matrix of this shape can have the format."""
    return weights not in ("int4", "int8") or weight.shape[1] % GROUP == 0


def _whole_tiles(weight: Tensor) -> Tensor:
    """[n_out, n_in] float32, with zeros below up to whole tiles."""
    return F.pad(weight.float(), (0, 0, 0, -weight.shape[0] % LANES))


def _side_by_side(x: Tensor) -> Tensor:
    """[n_out, n_groups] → [n_tiles, n_groups, LANES]."""
    return x.view(-1, LANES, x.shape[1]).transpose(1, 2).contiguous()


def _wide(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else F.pad(bias.float(), (0, -len(bias) % LANES))


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _with_bias(tensors: dict[str, Tensor], bias: Tensor | None) -> dict[str, Tensor]:
    return tensors if bias is None else {**tensors, "bias": bias}
