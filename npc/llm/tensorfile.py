"""A file of named tensors, each aligned for the kernels' vector loads, mapped into memory when read.

safetensors aligns to 8 bytes, and torch's int8 kernel crashes on scales that
are not aligned to a vector. Layout: 8 bytes length of the index, the index
(JSON: name → dtype, shape, offset), then the data.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from npc.errors import ModelError

ALIGNMENT = 64


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Whole or not at all: written beside, then renamed. Raises ModelError."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    index, offset = {}, 0
    for name, tensor in tensors.items():
        index[name] = [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), offset]
        offset += _aligned(tensor.nbytes)
    header = json.dumps(index).encode()
    header += b" " * (_aligned(8 + len(header)) - 8 - len(header))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for tensor in tensors.values():
                data = tensor.contiguous().view(-1).view(torch.uint8).numpy().data
                file.write(data)
                file.write(bytes(_aligned(len(data)) - len(data)))
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot write the quantised weights ({error})") from error


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of `path`, still on disk until they are touched. Raises ModelError."""
    try:
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            index = json.loads(file.read(n_header))
        data = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
        tensors = {}
        for name, (dtype_name, shape, offset) in index.items():
            dtype = getattr(torch, dtype_name)
            start = 8 + n_header + offset
            end = start + math.prod(shape) * dtype.itemsize
            if end > len(data):
                raise ValueError("the file is cut short")
            tensors[name] = data[start:end].view(dtype).view(shape)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        raise ModelError(f"{path}: unreadable ({error}); remove it and it is made anew") from error
    return tensors


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT
