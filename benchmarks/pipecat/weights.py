"""The engine's language model for llama.cpp: its weights in the places, and at the precision, of its base's GGUF."""

import os
import shutil
import tempfile
from pathlib import Path

from npc.errors import ModelError
from npc.models import ModelStore
from npc.models.gguf import NAMES

TUNED, BASE = "npc-135m", "smollm2-135m-instruct-gguf"


def gguf(models: ModelStore) -> Path:
    """npc-135m in GGUF, most of it Q4_1; made once. Raises ModelError."""
    done = models.derived(TUNED, "gguf") / f"{TUNED}.gguf"
    if not done.exists():
        base = next(models.ensure(BASE).glob("*.gguf"))
        with tempfile.TemporaryDirectory(dir=done.parent) as folder:
            made = Path(folder) / done.name
            shutil.copyfile(base, made)
            _overwrite(made, models.ensure(TUNED))
            os.replace(made, done)
    return done


def _overwrite(file: Path, tuned: Path) -> None:
    """Every layer of `file` with that of the Hugging Face folder `tuned`; embeddings and tokenizer were not tuned."""
    from gguf import GGUFReader
    from gguf.quants import quantize
    from safetensors.torch import load_file

    weights = load_file(tuned / "model.safetensors")
    reader = GGUFReader(file, "r+")
    counts = {key: int(reader.fields[f"llama.attention.{key}"].contents()) for key in ("head_count", "head_count_kv")}
    heads = {"attn_q": counts["head_count"], "attn_k": counts["head_count_kv"]}
    for tensor in reader.tensors:
        match tensor.name.split("."):
            case ["blk", layer, part, "weight"] if part in NAMES:
                weight = weights[f"model.layers.{layer}.{NAMES[part]}.weight"].float()
            case _:
                continue
        if part in heads:  # Hugging Face rotates the two halves of a head, llama.cpp neighbouring rows
            weight = weight.view(heads[part], 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
        data = quantize(weight.contiguous().numpy(), tensor.tensor_type)
        if data.shape != tensor.data.shape:
            raise ModelError(f"{file.name}: {tensor.name} is {tensor.data.shape}, and {TUNED}'s {data.shape}")
        tensor.data[:] = data
    reader.data.flush()
