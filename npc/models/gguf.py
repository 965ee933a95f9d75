"""A GGUF file of the Llama family becomes a Hugging Face folder: weights in bf16, config, tokenizer with chat template.

The `gguf` library reads and dequantises; what is left is names, the order of
rows that llama.cpp changes for its rotary embedding, and the tokenizer. It
takes seconds where transformers' own reading takes half a minute, does not
depend on how transformers keeps GGUF weights, and splits digits as the model's
own tokenizer does.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npc.errors import ModelError

if TYPE_CHECKING:
    import torch
    from gguf import GGUFReader, ReaderTensor

Fields = dict[str, Any]
"""The metadata of a GGUF file: numbers, strings, and lists of them."""

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""llama.cpp's names of tensors, and transformers'."""
_CONTROL = 3
"""The token type of what never comes from text: <|im_start|> and the like."""


def convert(source: Path, into: Path, tick: Callable[[int], None]) -> None:
    """Write the folder that `source` (a .gguf) is worth. `tick` hears the bytes of `source` that are done.

    Raises ModelError for an architecture, tensor or tokenizer that this does not know.
    """
    from gguf import GGUFReader
    from safetensors.torch import save_file

    reader = GGUFReader(source)
    fields: Fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields["general.architecture"] != "llama":
        raise ModelError(
            f"{source.name} is of the architecture {fields['general.architecture']!r}; only 'llama' converts"
        )
    _write_config(fields, into, is_tied=all(tensor.name != "output.weight" for tensor in reader.tensors))
    _write_tokenizer(fields, into)
    save_file(_weights(reader, fields, tick), into / "model.safetensors", metadata={"format": "pt"})


def _weights(reader: "GGUFReader", fields: Fields, tick: Callable[[int], None]) -> dict[str, "torch.Tensor"]:
    import numpy as np
    import torch
    from gguf import dequantize

    n_heads = fields["llama.attention.head_count"]
    heads = {"attn_q": n_heads, "attn_k": fields.get("llama.attention.head_count_kv", n_heads)}
    weights = {}
    for tensor in reader.tensors:
        name, part = _name(tensor)
        # what is not quantised comes as a read-only view of the file
        weight = torch.from_numpy(np.require(dequantize(tensor.data, tensor.tensor_type), requirements="W"))
        if part in heads:
            weight = _unpermute(weight, heads[part])
        weights[name] = weight.to(torch.bfloat16).contiguous()
        tick(tensor.n_bytes)
    return weights


def _name(tensor: "ReaderTensor") -> tuple[str, str]:
    """blk.3.attn_q.weight → model.layers.3.self_attn.q_proj.weight, attn_q"""
    match tensor.name.split("."):
        case ["blk", layer, part, "weight"] if part in NAMES:
            return f"model.layers.{layer}.{NAMES[part]}.weight", part
        case [part, "weight"] if part in NAMES:
            return f"{NAMES[part]}.weight", part
    raise ModelError(f"the GGUF holds a tensor {tensor.name!r} that a plain Llama does not have")


def _unpermute(weight: "torch.Tensor", n_heads: int) -> "torch.Tensor":
    """llama.cpp rotates neighbouring rows of a head, Hugging Face its two halves: (i, half) back to (half, i)."""
    # weight: [n_heads * head_dim, hidden]
    return weight.view(n_heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _write_config(fields: Fields, into: Path, is_tied: bool) -> None:
    from transformers import LlamaConfig

    llama = {key.removeprefix("llama."): value for key, value in fields.items()}
    special = {
        f"{name}_token_id": fields.get(f"tokenizer.ggml.{key}_token_id")
        for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    config: Fields = {
        "architectures": ["LlamaForCausalLM"],
        "dtype": "bfloat16",
        "hidden_size": llama["embedding_length"],
        "intermediate_size": llama["feed_forward_length"],
        "num_hidden_layers": llama["block_count"],
        "num_attention_heads": llama["attention.head_count"],
        "num_key_value_heads": llama["attention.head_count_kv"],
        "head_dim": llama["rope.dimension_count"],
        "max_position_embeddings": llama["context_length"],
        # a 32-bit float in the file: 1e-5 reads as 9.999999747e-06
        "rms_norm_eps": float(f"{llama['attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_parameters": {"rope_type": "default", "rope_theta": llama["rope.freq_base"]},
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": is_tied,
        **special,
    }
    LlamaConfig(**config).save_pretrained(into)
    (into / "generation_config.json").write_text(json.dumps(special, indent=2), "utf-8")


def _write_tokenizer(fields: Fields, into: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kind = (fields["tokenizer.ggml.model"], fields.get("tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise ModelError(
            f"the GGUF's tokenizer is {kind[0]!r} with {kind[1]!r} splitting; only 'gpt2', 'smollm' converts"
        )
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, fields["tokenizer.ggml.token_type"], strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    tokenizer.save(str(into / "tokenizer.json"))

    names = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
    ids = {name: fields.get(f"tokenizer.ggml.{key}_token_id") for name, key in names.items()}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": fields["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        **{name: tokens[i] for name, i in ids.items() if i is not None},
    }
    (into / "tokenizer_config.json").write_text(json.dumps(config, indent=2), "utf-8")
    if template := fields.get("tokenizer.chat_template"):
        (into / "chat_template.jinja").write_text(template, "utf-8")
