"""Models of a known shape with random weights: as fast as trained ones, and made where they are needed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npc.llm import tensorfile, weights
from npc.llm.architecture import Architecture
from npc.llm.layout import GROUP, INT4_BYTES, INT8_BYTES, LANES

_LLAMA = {"model_type": "llama", "rms_norm_eps": 1e-5}  # no token ends a text: all are as long as was asked for
SHAPES: dict[str, dict[str, Any]] = {  # by name: config.json's own keys
    "8b": _LLAMA
    | {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rope_theta": 500_000.0,
        "max_position_embeddings": 131_072,
    },
    "135m": _LLAMA
    | {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "rope_theta": 100_000.0,
        "tie_word_embeddings": True,
        "max_position_embeddings": 8192,
    },
    "tiny": _LLAMA
    | {
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
    },
}


def write(folder: Path, shape: str, format_: str, device: str) -> Path:
    """A model folder with the quantised form beside it, as if it had been made from weights; that folder.

    `device` makes the numbers, which takes long on a CPU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(SHAPES[shape]), "utf-8")
    tensors = {name: tensor.cpu() for name, tensor in random_tensors(Architecture.read(folder), format_, device)}
    tensorfile.write(weights.cache_path(folder, folder / "derived", format_), tensors)
    return folder / "derived"


def random_tensors(arch: Architecture, format_: str, device: str) -> Iterator[tuple[str, Tensor]]:
    """What the cache file holds, name by name. Products have about the size of what goes in."""
    torch.manual_seed(1)

    def linear(name: str, n_out: int, n_in: int, format_: str = format_) -> Iterator[tuple[str, Tensor]]:
        size = n_in**-0.5
        if format_ == "bf16":
            yield f"{name}.weight", (size * torch.randn(n_out, n_in, device=device)).bfloat16()
            return
        n_bytes = INT4_BYTES if format_ == "int4" else INT8_BYTES
        n_tiles = -(-n_out // LANES)
        packed = torch.randint(0, 256, (n_tiles, n_in // GROUP, n_bytes), dtype=torch.uint8, device=device)
        if format_ == "int4":  # levels 0 to 15, whose deviation is 4.6
            halves = torch.tensor([size / 4.6] * LANES + [-7.5 * size / 4.6] * LANES, device=device).half()
            packed[..., : 4 * LANES] = halves.view(torch.uint8)
        else:
            yield f"{name}.scale", torch.full((n_tiles * LANES,), size / 74, device=device)
        yield f"{name}.packed", packed
        yield f"{name}.shape", torch.tensor([n_out, n_in])

    hidden, inner = arch.hidden_size, arch.intermediate_size
    for index in range(arch.n_layers):
        yield from linear(f"{index}.qkv", arch.q_size + arch.kv_size, hidden)
        yield from linear(f"{index}.out", hidden, arch.q_size)
        yield from linear(f"{index}.gate_up", 2 * inner, hidden)
        yield from linear(f"{index}.down", hidden, inner)
        yield f"{index}.attention_norm", torch.ones(hidden, device=device)
        yield f"{index}.mlp_norm", torch.ones(hidden, device=device)
    yield "norm", torch.ones(hidden, device=device)
    yield "embedding", torch.randn(arch.vocab_size, hidden, device=device).bfloat16()
    yield from linear("head", arch.vocab_size, hidden, "int8" if format_ == "int4" else format_)
