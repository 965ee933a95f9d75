"""What ships: an adapter, merged weights, checksums, a model card. `npc.models.adapter` puts them together again."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from npc.models.adapter import copy_beside, pack, write_sums
from npc.train.recipe import Recipe
from npc.train.rounding import PROJECTIONS, low_rank_parameters, merged_tensors

MAX_SHARD_BYTES = 15 * 2**20
"""Small enough for every code host."""


def export_adapter(model: nn.Module, recipe: Recipe, folder: Path) -> None:
    """adapter_config.json and shards of adapter_model*.safetensors, in peft's names; matrices packed to int8."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: each.detach().to("cpu", torch.bfloat16) for name, each in low_rank_parameters(model).items()}
    save_shards(pack(tensors), folder, "adapter_model")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": recipe.base,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "target_modules": list(PROJECTIONS),
        "lora_dropout": 0.0,
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_sums(folder)


def export_merged(model: nn.Module, base: Path, folder: Path) -> None:
    """A Hugging Face folder of the whole model in bf16; low-rank changes are added, rounding is left to the engine."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = merged_tensors(model)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    if config.get("tie_word_embeddings"):
        tensors.pop("lm_head.weight", None)
    copy_beside(base, folder)
    own: Any = getattr(model, "config", None)
    if own is not None and own.num_hidden_layers != config["num_hidden_layers"]:
        config["num_hidden_layers"] = own.num_hidden_layers
        if config.get("layer_types"):
            config["layer_types"] = config["layer_types"][: own.num_hidden_layers]
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_sums(folder)


def export_layers(merged: Path, folder: Path) -> None:
    """Of a drafter, only what it learnt: its layers and last norm. Embeddings and head are its teacher's own."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = load_file(merged / "model.safetensors")
    own = {name: tensor for name, tensor in tensors.items() if "embed_tokens" not in name and "lm_head" not in name}
    save_shards(pack(own), folder, "layers")
    shutil.copyfile(merged / "config.json", folder / "config.json")
    write_sums(folder)


def write_card(folder: Path, recipe: Recipe, counts: Mapping[str, int], scores: Mapping[str, Any]) -> None:
    """README.md for the model: what it is made of, how well it plays, what it cannot do. `scores`: Score.as_dict."""

    def percent(key: str) -> str:
        rate = scores.get(key)
        return f"{rate['percent']} % of {rate['n']}" if rate else "not measured"

    corpus = ", ".join(f"{n} {what}" for what, n in counts.items())
    rows = "\n".join(
        f"| {title} | {percent(key)} |"
        for title, key in (
            ("actions, exact", "exact"),
            ("acts when none is due", "unasked"),
            ("answers grounded", "grounded"),
            ("abstains when it should", "abstains"),
            ("abstains when it should not", "abstains_wrongly"),
            ("injection and out of world, safe", "safe"),
            ("in character", "in_character"),
        )
    )
    (folder / "README.md").write_text(
        f"""# A small model that plays game characters

Base: {recipe.base} (Apache-2.0). Method: {recipe.method}, rounded to {recipe.weights} in training. Licence: Apache-2.0.

Data: {recipe.examples} examples, seed {recipe.seed}, written by npc/train from authored worlds: {corpus}.
The authored text is in npc/train/data; `npc train data` makes the examples again.

Scores on held-out characters, worlds and actions (`npc eval run`), {recipe.weights}:

| | |
| --- | --- |
{rows}

Limits: English only; replies of one or two sentences; it knows what its prompt says and little else; numbers and
names are copied from passages and now and then miscopied; it follows the convention that characters are willing.
""",
        encoding="utf-8",
    )


def save_shards(tensors: Mapping[str, Tensor], folder: Path, stem: str) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in sorted(tensors.items()):
        n_bytes = tensor.numel() * tensor.itemsize
        if shards[-1] and size + n_bytes > MAX_SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += n_bytes
    for n, shard in enumerate(shards, 1):
        suffix = "" if len(shards) == 1 else f"-{n:05}-of-{len(shards):05}"
        save_file(shard, folder / f"{stem}{suffix}.safetensors", metadata={"format": "pt"})
