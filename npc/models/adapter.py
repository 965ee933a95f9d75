"""Models that ship as a few megabytes beside a base: a low-rank adapter, or the first layers of a drafter.

    base + adapter_config.json + adapter_model*.safetensors   W + alpha / r · B · A, projection by projection
    base + config.json + layers*.safetensors                  the base's embeddings and head around layers of its own

Tensors may be int8 with a scale for each row (`<name>.scale`): half the size, at
an error far below that of the engine's own int4. Hu et al. 2021 for the adapter.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from npc.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

SUMS = "SHA256SUMS"
SCALE = ".scale"
PHRASES = "phrases.safetensors"
_BESIDE = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
           "special_tokens_map.json", "vocab.json", "merges.txt")  # fmt: skip


def merge(base: Path, adapter: Path, folder: Path, phrases: Path | None = None) -> None:
    """Write base and adapter as one Hugging Face folder. Raises ModelError where they do not belong together.

    `phrases` is a folder with what the model likes to say, which comes along.
    """
    from safetensors.torch import save_file

    check_sums(adapter)
    tensors = _read(base, "*.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    copy_beside(base, folder)
    if (adapter / "adapter_config.json").is_file():
        _add_low_rank(tensors, adapter, base)
    else:
        own = _read(adapter, "layers*.safetensors")
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("model.layers.")}
        tensors = kept | {name: tensor.to(next(iter(kept.values())).dtype) for name, tensor in own.items()}
        shutil.copyfile(adapter / "config.json", folder / "config.json")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if phrases is not None:
        check_sums(phrases)
        shutil.copyfile(phrases / PHRASES, folder / PHRASES)


def pack(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Matrices as int8 with a scale a row; what is no matrix stays."""
    import torch

    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2:
            packed[name] = tensor
            continue
        scale = (tensor.float().abs().amax(dim=1, keepdim=True) / 127).clamp_min(1e-12)  # [rows, 1]
        packed[name] = (tensor.float() / scale).round().to(torch.int8)
        packed[name + SCALE] = scale
    return packed


def unpack(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """The inverse of `pack`, in float32 where it packed."""
    return {
        name: tensor.float() * tensors[name + SCALE] if name + SCALE in tensors else tensor
        for name, tensor in tensors.items()
        if not name.endswith(SCALE)
    }


def write_sums(folder: Path) -> None:
    """SHA256SUMS over every other file of `folder`, as sha256sum writes them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> None:
    """Raises ModelError naming the file that is missing or has changed."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ModelError(f"{folder}: no {SUMS}; it is written with the weights") from error
    for line in lines:
        wanted, name = line.split(maxsplit=1)
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path}: is missing")
        if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
            raise ModelError(f"{path}: its SHA-256 is not that of {SUMS}; fetch it again")


def copy_beside(base: Path, folder: Path) -> None:
    """Config and tokenizer, everything but weights."""
    for name in _BESIDE:
        if (base / name).exists():
            shutil.copyfile(base / name, folder / name)


def read_low_rank(adapter: Path) -> "tuple[float, dict[str, Tensor]]":
    """alpha / r, and A: [r, n_in] and B: [n_out, r] in peft's names. Raises ModelError."""
    check_sums(adapter)
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    return config["lora_alpha"] / config["r"], _read(adapter, "adapter_model*.safetensors")


def _read(folder: Path, pattern: str) -> "dict[str, Tensor]":
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for shard in sorted(folder.glob(pattern)):
        tensors |= load_file(shard)
    if not tensors:
        raise ModelError(f"{folder}: no weights ({pattern}) are in it")
    return unpack(tensors)


def _add_low_rank(tensors: "dict[str, Tensor]", adapter: Path, base: Path) -> None:
    scale, low_rank = read_low_rank(adapter)
    for name in [name for name in low_rank if name.endswith(".lora_A.weight")]:
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        weight = tensors.get(f"{module}.weight")
        a, b = low_rank[name].float(), low_rank[name.replace(".lora_A.", ".lora_B.")].float()
        if weight is None or weight.shape != (b.shape[0], a.shape[1]):
            raise ModelError(f"{adapter}: changes {module}, which {base} does not have in that shape")
        tensors[f"{module}.weight"] = (weight.float() + scale * (b @ a)).to(weight.dtype)
