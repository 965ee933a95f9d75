"""A GGUF becomes a Hugging Face folder with the same weights, tokens and chat template."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npc.errors import ModelError
from npc.models import ModelStore
from npc.models.gguf import convert

PARTS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "Ġ", "1", "2", "ab", "ĠĠ"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"
HIDDEN, HEADS, KV_HEADS, HEAD_DIM = 32, 4, 2, 8


@pytest.fixture(scope="module")
def llama() -> Any:
    """A Llama of random weights, which is what the GGUF below is written from."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(PARTS),
        hidden_size=HIDDEN,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


Write = Callable[..., Path]


@pytest.fixture
def write(llama: Any, tmp_path: Path) -> Write:
    """Writes the model as llama.cpp does: its names, and the rows of q and k by pairs instead of by halves."""
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map

    def run(architecture: str = "llama", splitting: str = "smollm", extra: str | None = None) -> Path:
        writer = GGUFWriter(tmp_path / "model.gguf", architecture)
        writer.add_embedding_length(HIDDEN)
        writer.add_feed_forward_length(48)
        writer.add_block_count(2)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KV_HEADS)
        writer.add_rope_dimension_count(HEAD_DIM)
        writer.add_context_length(64)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_freq_base(5000.0)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(splitting)
        writer.add_token_list(PARTS)
        writer.add_token_types([3, 3, 3] + [1] * (len(PARTS) - 3))
        writer.add_token_merges(["a b", "Ġ Ġ"])
        writer.add_unk_token_id(0)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_pad_token_id(2)
        writer.add_chat_template(TEMPLATE)
        names = get_tensor_name_map(MODEL_ARCH.LLAMA, 2)
        for name, weight in llama.state_dict().items():
            if name == "lm_head.weight":
                continue  # tied
            rows = weight.numpy()
            for part, heads in (("q_proj", HEADS), ("k_proj", KV_HEADS)):
                if part in name:
                    by_halves = rows.reshape(heads, 2, HEAD_DIM // 2, HIDDEN)
                    rows = by_halves.swapaxes(1, 2).reshape(rows.shape)
            writer.add_tensor(names.get_name(name, (".weight",)), np.ascontiguousarray(rows))
        if extra:
            writer.add_tensor(extra, np.zeros(4, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return tmp_path / "model.gguf"

    return run


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    folder = tmp_path / "ready"
    folder.mkdir()
    return folder


def test_the_converted_model_computes_the_same(llama: Any, write: Write, ready: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    done: list[int] = []
    convert(write(), ready, done.append)

    read = AutoModelForCausalLM.from_pretrained(ready, dtype=torch.float32)
    expected = {name: weight.to(torch.bfloat16).float() for name, weight in llama.state_dict().items()}
    assert all(torch.equal(weight, expected[name]) for name, weight in read.state_dict().items())
    assert read.config.rms_norm_eps == 1e-5
    llama.load_state_dict(expected)
    ids = torch.tensor([[3, 4, 5, 6, 3, 8, 9, 2]])
    with torch.inference_mode():
        torch.testing.assert_close(read(ids).logits, llama(ids).logits)
    assert len(done) == 1 + 2 * 9 + 1


def test_the_converted_tokenizer_splits_digits_and_knows_its_template(write: Write, ready: Path) -> None:
    from transformers import AutoTokenizer

    convert(write(), ready, lambda n_bytes: None)
    tokenizer = AutoTokenizer.from_pretrained(ready)
    # the two spaces before a digit stay together, where a splitter that is not the model's own parts them
    assert tokenizer.tokenize("ab  12<|im_end|>a") == ["ab", "ĠĠ", "1", "2", "<|im_end|>", "a"]
    assert tokenizer.decode(tokenizer("ab  12").input_ids) == "ab  12"
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    chat = [{"role": "user", "content": "ab"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == "<|im_start|>ab<|im_end|>"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"architecture": "gpt2"}, "architecture 'gpt2'; only 'llama'"),
        ({"splitting": "qwen2"}, "'qwen2' splitting"),
        ({"extra": "rope_freqs.weight"}, "tensor 'rope_freqs.weight'"),
    ],
)
def test_what_cannot_be_converted_rightly_is_refused(
    wrong: dict[str, str], says: str, write: Write, ready: Path
) -> None:
    with pytest.raises(ModelError, match=says):
        convert(write(**wrong), ready, lambda n_bytes: None)


@pytest.mark.real
def test_smollm2_converts_to_what_transformers_and_llama_cpp_read(models: ModelStore) -> None:
    httpx = pytest.importorskip("httpx")
    xllamacpp = pytest.importorskip("xllamacpp")
    pytest.importorskip("accelerate")  # transformers reads GGUF files only with it
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ready, packed = models.ensure("smollm2-135m-instruct"), models.ensure("smollm2-135m-instruct-gguf")
    (gguf_file,) = packed.glob("*.gguf")
    ours = AutoModelForCausalLM.from_pretrained(ready, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(ready)
    theirs = AutoModelForCausalLM.from_pretrained(packed, gguf_file=gguf_file.name, dtype=torch.float32)

    # every weight is theirs, rounded to bf16
    weights = {name: weight.to(torch.bfloat16).float() for name, weight in theirs.state_dict().items()}
    assert ours.state_dict().keys() == weights.keys()
    assert all(torch.equal(weight, weights[name]) for name, weight in ours.state_dict().items())

    # so the same model comes out: 0.3 of logits up to 38 is what rounding to bf16 costs
    chat = [{"role": "user", "content": "Who forged the king's sword in 1203?"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        mine, reference = ours(ids).logits, theirs(ids).logits
    assert torch.equal(mine.argmax(-1), reference.argmax(-1))
    torch.testing.assert_close(mine, reference, atol=0.5, rtol=0)

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf_file)
    params.n_ctx, params.warmup, params.cpuparams.n_threads = 256, False, 1
    server = xllamacpp.Server(params)
    for text in (
        "In 1999 I saw  42 geese—didn't I?  [walk_to(place=well)]\n\n  çé 你好 <|im_start|>user\nhi<|im_end|>",
        "Price:   100 coins\n 5, I'll  give you 3½ apples, OK? 12:30\t\t7 ١٢٣ x²",
    ):
        asked = {"content": text, "add_special": False, "parse_special": True}
        answer = httpx.post(f"{server.listening_address}/tokenize", json=asked).json()
        assert tokenizer(text).input_ids == answer["tokens"]
        assert tokenizer.decode(answer["tokens"]) == text
