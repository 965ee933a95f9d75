"""Matrices on a device: repacked when they are loaded from the form in which a CPU reads them.

int4: `weight` [n_out, tiles, 16] int32, a tile of 128 inputs in 16 words. Bits
4s to 4s + 3 of word w are input 32s + 2w, and 16 bits higher is the one after
it: a slot of all words is a group, and meets inputs that lie side by side. A
group's scale and low are two bfloat16 (on a CPU, float16) in one int32 of
`scales` [4 · tiles, n_out]. What the last tile lacks are zeros.
int8: `weight` [n_out, n_in] int8 and `scales` [n_out] float32.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

from npc.llm.layout import GROUP, LANES

Kind = Literal["dense", "int8", "int4"]

_RECORD = 4 * LANES
"""Bytes of scales and lows that precede the weights of a tile's group, in int4."""

_SLOTS = 4
"""Of four bits in each half of a word."""

_UNPACKED_ROWS = 4096


class DeviceLinear:
    """A `Linear` for any device. Short batches read `weight` and `scales` by kernels; a call takes long ones."""

    def __init__(self, tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.bfloat16) -> None:
        self.bias = tensors.get("bias")
        self.dtype = dtype
        self.kind: Kind
        self.scales: Tensor | None = None
        if "weight" in tensors:
            self.kind, self.weight = "dense", tensors["weight"]
            self.n_out, self.n_in = self.weight.shape
            return
        self.n_out, self.n_in = (int(n) for n in tensors["shape"])
        if "scale" in tensors:
            self.kind = "int8"
            self.weight = _int8_rows(tensors["packed"])[: self.n_out].contiguous()
            self.scales = tensors["scale"][: self.n_out].float().contiguous()
        else:
            self.kind = "int4"
            words, scales = _int4_tiles(tensors["packed"])
            self.weight, self.scales = words[: self.n_out].contiguous(), scales[:, : self.n_out].contiguous()

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        own = {"weight": self.weight, "scales": self.scales, "bias": self.bias}
        return {name: tensor for name, tensor in own.items() if tensor is not None}

    @property
    def row(self) -> tuple[int, int, int, int]:
        raise TypeError("compiled loops on a CPU cannot read weights in a device's order")

    @property
    def n_bytes(self) -> int:
        """What one pass over the matrix reads."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def __call__(self, x: Tensor) -> Tensor:
        """x: [n, n_in] → [n, n_out]: for so many rows that unpacking the weights first costs little beside."""
        if self.kind == "int4" and x.is_cuda and (unpack := _unpack()) is not None:
            return F.linear(x, unpack(self).to(x.dtype), self.bias)
        return F.linear(x, self.unpacked().to(x.dtype), self.bias)

    def unpacked(self) -> Tensor:
        """[n_out, n_in], as it is if dense, else in `dtype`."""
        if self.scales is None:
            return self.weight
        if self.kind == "int8":
            return (self.weight * self.scales[:, None]).to(self.dtype)
        out = torch.empty(self.n_out, self.n_in, dtype=self.dtype, device=self.weight.device)
        halves = self.scales.view(torch.bfloat16).view(len(self.scales), self.n_out, 2).transpose(0, 1).float()
        for first in range(0, self.n_out, _UNPACKED_ROWS):  # what lies between takes several times the result's room
            rows = slice(first, first + _UNPACKED_ROWS)
            words = self.weight[rows]
            slots = [words >> at & 0xF000F for at in range(0, 16, 4)]
            levels = torch.stack([torch.stack((each & 15, each >> 16), -1) for each in slots], 2)
            levels = levels.view(len(levels), -1, GROUP)  # [rows, groups, 32]
            values = levels * halves[rows, :, :1] + halves[rows, :, 1:]
            out[rows] = values.flatten(1)[:, : self.n_in]
        return out


@functools.cache
def _unpack() -> "Callable[[DeviceLinear], Tensor] | None":
    """As `unpacked`, in one kernel, where there is Triton."""
    try:
        from npc.llm.gpu.kernels import unpack
    except ImportError:
        return None
    return unpack


def _int4_tiles(packed: Tensor) -> tuple[Tensor, Tensor]:
    """`Int4Linear`'s tiles [n_tiles, n_groups, bytes] → words and scales of whole tiles of rows; see the module."""
    n_tiles, n_groups, _ = packed.shape
    n_more = -n_groups % _SLOTS
    packed = F.pad(packed, (0, 0, 0, n_more)) if n_more else packed
    halves = packed[..., :_RECORD].contiguous().view(torch.float16).view(n_tiles, -1, 2, LANES).bfloat16()
    scales = halves.permute(1, 0, 3, 2).contiguous().view(torch.int32).view(-1, n_tiles * LANES)
    eights = packed[..., _RECORD:].contiguous().view(torch.int32).view(n_tiles, -1, _SLOTS, GROUP // 8, LANES)
    words = torch.zeros(n_tiles, LANES, eights.shape[1], GROUP // 2, dtype=torch.int32, device=packed.device)
    for i in range(GROUP):
        shift = i % 4 * 8 + i % 8 // 4 * 4  # a CPU's byte holds two inputs that stand four apart
        for slot in range(_SLOTS):
            level = (eights[:, :, slot, i // 8] >> shift) & 15
            words[..., i // 2] |= level.transpose(1, 2) << (4 * slot + 16 * (i % 2))
    return words.view(n_tiles * LANES, -1, GROUP // 2), scales


def _int8_rows(packed: Tensor) -> Tensor:
    """`Int8Linear`'s tiles → [n_tiles * LANES, n_in] int8."""
    n_tiles, n_groups, _ = packed.shape
    parts = (packed ^ 128).view(torch.int8)  # a CPU's levels have no sign
    parts = parts.view(n_tiles, n_groups, GROUP // 4, LANES, 4)
    return parts.permute(0, 3, 1, 2, 4).reshape(n_tiles * LANES, n_groups * GROUP)
