"""From a Hugging Face folder to a `Transformer`: merge, quantise once, keep the result in a cache file.

The cache is one file, mapped into memory when it is read, so that a start
costs what the pages cost. Its name carries what it depends on: the
source's size and date, and the format.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from npc.errors import ModelError
from npc.llm import tensorfile
from npc.llm.architecture import Architecture
from npc.llm.linear import FORMATS, DenseLinear, Linear, PackedLinear, fits
from npc.llm.model import Layer, RmsNorm, Transformer, interleave

LAYOUT = 6
"""Raised whenever the cache file's content changes its meaning."""


def load(folder: Path, derived: Path, weights: str, n_positions: int, device: str = "cpu") -> Transformer:
    """The model of `folder`, its weights in format `weights` ('int4', 'int8', 'bf16' or 'float32').

    `derived` is a folder for the quantised form. Raises ModelError.
    """
    arch = Architecture.read(folder)
    path = prepare(folder, derived, weights)
    if device == "cpu":
        return assemble(arch, tensorfile.read(path), weights, n_positions)
    from npc.llm.gpu.linear import DeviceLinear

    def linear(own: Mapping[str, Tensor]) -> Linear:  # one at a time: each is repacked, and its first form dropped
        return DeviceLinear({name: tensor.to(device) for name, tensor in own.items()})

    tensors = tensorfile.read(path)
    tensors |= {name: tensor.to(device) for name, tensor in tensors.items() if name.endswith(("norm", "embedding"))}
    return assemble(arch, tensors, weights, n_positions, linear)


def prepare(folder: Path, derived: Path, weights: str) -> Path:
    """The cache file, made where it is not there yet. Raises ModelError."""
    path = cache_path(folder, derived, weights)
    if not path.exists():
        tensorfile.write(path, quantise(Architecture.read(folder), folder, weights))
    return path


def cache_path(folder: Path, derived: Path, weights: str) -> Path:
    return derived / f"{_fingerprint(folder, weights)}.tensors"


def quantise(arch: Architecture, folder: Path, weights: str) -> dict[str, Tensor]:
    """Every tensor of the cache file, by name."""
    return dict(_pack(arch, _Source(folder), weights))


def packed_linear(tensors: Mapping[str, Tensor]) -> Linear:
    return PackedLinear(tensors) if "packed" in tensors else DenseLinear(tensors)


def assemble(
    arch: Architecture,
    tensors: Mapping[str, Tensor],
    weights: str,
    n_positions: int,
    kind: Callable[[Mapping[str, Tensor]], Linear] = packed_linear,
) -> Transformer:
    dtype = torch.float32 if weights == "float32" else torch.bfloat16

    def norm(name: str) -> RmsNorm:
        return RmsNorm(tensors[name], arch.norm_eps, dtype)

    def linear(prefix: str) -> Linear:
        return kind(
            {name.rpartition(".")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
        )

    layers = [
        Layer(
            qkv=linear(f"{index}.qkv"),
            out=linear(f"{index}.out"),
            gate_up=linear(f"{index}.gate_up"),
            down=linear(f"{index}.down"),
            attention_norm=norm(f"{index}.attention_norm"),
            mlp_norm=norm(f"{index}.mlp_norm"),
            q_norm=norm(f"{index}.q_norm") if arch.has_qk_norm else None,
            k_norm=norm(f"{index}.k_norm") if arch.has_qk_norm else None,
        )
        for index in range(arch.n_layers)
    ]
    return Transformer(arch, tensors["embedding"], layers, norm("norm"), linear("head"), n_positions, dtype)


def _pack(arch: Architecture, source: "_Source", weights: str) -> Iterator[tuple[str, Tensor]]:
    dtype = torch.float32 if weights == "float32" else torch.bfloat16

    def linear(
        name: str, *parts: str, least: str = "int4", merge: Callable[[list[Tensor]], Tensor] = torch.cat
    ) -> Iterator[tuple[str, Tensor]]:
        weight = merge([source(f"{part}.weight") for part in parts])
        biases = [source(f"{part}.bias") for part in parts if source.has(f"{part}.bias")]
        format_ = least if weights == "int4" else weights
        kind = FORMATS[format_] if fits(format_, weight) else DenseLinear
        bias = merge(biases).to(dtype) if biases else None
        for key, tensor in kind.pack(weight.to(dtype), bias).items():
            yield f"{name}.{key}", tensor

    for index in range(arch.n_layers):
        prefix = f"model.layers.{index}"
        yield from linear(f"{index}.qkv", *(f"{prefix}.self_attn.{part}_proj" for part in "qkv"))
        yield from linear(f"{index}.out", f"{prefix}.self_attn.o_proj")
        yield from linear(f"{index}.gate_up", f"{prefix}.mlp.gate_proj", f"{prefix}.mlp.up_proj", merge=interleave)
        yield from linear(f"{index}.down", f"{prefix}.mlp.down_proj")
        yield f"{index}.attention_norm", source(f"{prefix}.input_layernorm.weight").float()
        yield f"{index}.mlp_norm", source(f"{prefix}.post_attention_layernorm.weight").float()
        if arch.has_qk_norm:
            yield f"{index}.q_norm", source(f"{prefix}.self_attn.q_norm.weight").float()
            yield f"{index}.k_norm", source(f"{prefix}.self_attn.k_norm.weight").float()
    yield "norm", source("model.norm.weight").float()
    yield "embedding", source("model.embed_tokens.weight").to(dtype)
    # Four bits cost the head a tenth of its signal, and the choice of every token depends on it.
    yield from linear("head", "model.embed_tokens" if arch.is_tied else "lm_head", least="int8")


class _Source:
    """Tensors of the folder's safetensors files, by name; read as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise ModelError(f"{folder}: no *.safetensors in it; convert the model with transformers' save_pretrained")
        try:
            self._files: dict[str, Any] = {}  # safe_open is a compiled class without types
            for path in paths:
                file: Any = safe_open(path, "pt")
                self._files |= dict.fromkeys(file.keys(), file)
        except SafetensorError as error:
            raise ModelError(f"{folder}: unreadable weights ({error})") from error

    def has(self, name: str) -> bool:
        return name in self._files

    def __call__(self, name: str) -> Tensor:
        if name not in self._files:
            raise ModelError(f"{self._folder}: tensor {name!r} is missing from the weights")
        tensor: Tensor = self._files[name].get_tensor(name)
        return tensor


def _fingerprint(folder: Path, weights: str) -> str:
    files = sorted([*folder.glob("*.safetensors"), folder / "config.json"])
    facts = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.exists()]
    kernels = [LAYOUT, weights]
    return f"{weights}-{hashlib.sha256(json.dumps([facts, kernels]).encode()).hexdigest()[:16]}"
