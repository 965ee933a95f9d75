"""The network against transformers' own, on tiny random models of each family."""

import json
from pathlib import Path

import pytest
import torch
from tiny_llm import VOCAB, write_model
from torch.nn import functional as F  # noqa: N812
from transformers import AutoModelForCausalLM

from npc.errors import ModelError
from npc.llm import tensorfile, weights
from npc.llm.architecture import Architecture
from npc.llm.cache import CACHES
from npc.llm.linear import FORMATS
from npc.llm.model import Batch, Group, Transformer
from npc.llm.runner import Rows, Runner

TOLERANCE = 2e-4
"""Largest difference of a logit in float32; the logits of these models span about 20."""

SMOLLM_SHAPE = """{"model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3}"""
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
FAMILIES = {
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama tied": ("llama", {"tie_word_embeddings": True}),
    "llama with biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama 3.1 positions": ("llama", {"rope_parameters": LLAMA3}),
    "llama stretched": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}),
    "mistral": ("mistral", {"sliding_window": None, "head_dim": 16}),
    "mistral looking back 8": ("mistral", {"sliding_window": 8, "head_dim": 16}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 32}),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 1, 0], "pad_token_id": 0, "tie_word_embeddings": True}),
}


def logits_of(model: Transformer, ids: list[int], chunks: tuple[int, ...], cache_type: str = "bf16") -> torch.Tensor:
    """Logits [len(ids), vocab], read in `chunks` into pages that lie in no order."""
    n_pages, page_size = 8, 8
    make = CACHES[cache_type]
    cache = [make(model.arch, n_pages, page_size, model.dtype, model.device) for _ in range(model.arch.n_layers)]
    pages = torch.tensor([[5, 2, 7, 0, 3, 6]])
    rows, first = [], 0
    with torch.inference_mode():
        for n in chunks:
            positions = torch.arange(first, first + n)
            slots = pages[0, positions // page_size] * page_size + positions % page_size
            tokens = torch.tensor(ids[first : first + n])
            batch = Batch(tokens, positions, slots, [Group(0, 1, n, pages, is_whole=first == 0)], torch.arange(n))
            out = model.forward(batch, cache)
            assert out is not None
            rows.append(out)
            first += n
    return torch.cat(rows)


@pytest.mark.parametrize(("family", "config"), FAMILIES.values(), ids=FAMILIES.keys())
def test_logits_equal_those_of_transformers(family: str, config: dict[str, object], tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", family, **config)
    ids = torch.randint(0, VOCAB, (40,), generator=torch.Generator().manual_seed(1)).tolist()
    with torch.inference_mode():
        theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").float()(torch.tensor([ids]))
    ours = logits_of(weights.load(folder, tmp_path / "derived", "float32", 512), ids, (23, 1, 1, 15))
    assert theirs.logits[0].std() > 1, "a model whose logits are all alike would prove nothing"
    assert (ours - theirs.logits[0]).abs().max() < TOLERANCE


@pytest.mark.parametrize(("family", "config"), FAMILIES.values(), ids=FAMILIES.keys())
def test_compiled_steps_equal_plain_ones(family: str, config: dict[str, object], tmp_path: Path) -> None:
    """Both in bfloat16, whose own error against float32 is the measure."""
    folder = write_model(tmp_path / "model", family, **config)
    ids = torch.randint(0, VOCAB, (40,), generator=torch.Generator().manual_seed(1)).tolist()
    chunks = (20, 1, 1, 8, 10)
    exact = logits_of(weights.load(folder, tmp_path / "derived", "float32", 512), ids, chunks)
    model = weights.load(folder, tmp_path / "derived", "bf16", 512)
    compiled = logits_of(model, ids, chunks).float()
    model._fused = None
    plain = logits_of(model, ids, chunks).float()
    error = (plain - exact).norm()
    assert not torch.equal(compiled[20:], plain[20:]), "a chunk of few rows runs compiled"
    assert (compiled - exact).norm() < 1.1 * error
    assert (compiled - plain).norm() < 1.5 * error


def test_a_compiled_row_does_not_depend_on_its_company(tiny_folder: Path, tmp_path: Path) -> None:
    model = weights.load(tiny_folder, tmp_path, "bf16", 512)
    prompts = [[index, *range(3, 10 + 4 * index)] for index in range(4)]

    def last_logits(some: list[list[int]]) -> list[torch.Tensor]:
        runner = Runner(model, 16, 16)
        pages = [[4 * index + n for n in range(4)] for index in range(len(some))]
        for prompt, own in zip(some, pages, strict=True):
            runner.run([Rows(prompt[:-2], 0, own, 0)])
        out = runner.run([Rows(prompt[-2:], len(prompt) - 2, own, 1) for prompt, own in zip(some, pages, strict=True)])
        return [row[0] for row in out if row is not None]

    together = last_logits(prompts)
    assert all(torch.equal(row, last_logits([prompt])[0]) for row, prompt in zip(together, prompts, strict=True))


@pytest.mark.parametrize("weights_format", ["bf16", "int8", "int4"])
def test_the_number_of_threads_changes_no_bit(weights_format: str, tiny_folder: Path, tmp_path: Path) -> None:
    model, before = weights.load(tiny_folder, tmp_path, weights_format, 512), torch.get_num_threads()
    ids = list(range(40))
    made = []
    try:
        for n_threads in (1, 2, 5):
            torch.set_num_threads(n_threads)
            made.append(logits_of(model, ids, (15, 1, 1, 3, 14, 6)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(each, made[0]) for each in made[1:])


@pytest.mark.parametrize(("weights_format", "error"), [("bf16", 0.05), ("int8", 0.08), ("int4", 0.5)])
def test_quantised_logits_stay_near(weights_format: str, error: float, tiny_folder: Path, tmp_path: Path) -> None:
    ids = list(range(30))
    exact = logits_of(weights.load(tiny_folder, tmp_path, "float32", 512), ids, (30,))
    near = logits_of(weights.load(tiny_folder, tmp_path, weights_format, 512), ids, (30,)).float()
    assert (near - exact).norm() / exact.norm() < error


def test_an_int8_cache_stays_near_the_exact_one(tiny: Transformer) -> None:
    ids = list(range(40))
    exact, near = (logits_of(tiny, ids, (23, 1, 16), cache_type) for cache_type in ("bf16", "int8"))
    assert 0 < (near - exact).norm() / exact.norm() < 0.03


def test_an_int8_cache_takes_little_more_than_half() -> None:
    arch = Architecture.from_config(json.loads(SMOLLM_SHAPE))
    dense, rounded = (CACHES[kind].token_bytes(arch, torch.bfloat16) for kind in ("bf16", "int8"))
    assert rounded / dense == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("n_rows", [1, 8, 40, 100])
@pytest.mark.parametrize(("weights_format", "error"), [("bf16", 0.006), ("int8", 0.02), ("int4", 0.13)])
def test_a_quantised_layer_is_near_the_float_one(weights_format: str, error: float, n_rows: int) -> None:
    torch.manual_seed(3)
    weight, bias, x = torch.randn(96, 256), torch.randn(96), torch.randn(n_rows, 256).bfloat16()
    exact = F.linear(x.float(), weight, bias)
    kind = FORMATS[weights_format]
    near = kind(kind.pack(weight.bfloat16(), bias.bfloat16()))(x).float()
    assert (near - exact).norm() / exact.norm() < error


@pytest.mark.parametrize("n_rows", [16, 128], ids=["a reply's rows", "a prompt's rows"])
def test_weights_that_lie_on_the_int4_grid_are_kept(n_rows: int) -> None:
    levels = torch.randint(0, 16, (64, 4, 32), generator=torch.Generator().manual_seed(2)).float()
    levels[..., 0], levels[..., 1] = 0, 15
    weight = (levels * 0.125 - 1).view(64, 128)
    kind = FORMATS["int4"]
    layer = kind(kind.pack(weight, None))
    parts = torch.eye(128).bfloat16().split(n_rows)
    assert torch.equal(torch.cat([layer(rows).float() for rows in parts]), weight.T)


@pytest.mark.parametrize("weights_format", ["int8", "int4"])
def test_a_row_of_a_reply_does_not_depend_on_its_company(weights_format: str) -> None:
    torch.manual_seed(5)
    kind = FORMATS[weights_format]
    layer = kind(kind.pack(torch.randn(64, 128), None))
    rows = torch.randn(8, 128).bfloat16()
    together = layer(rows)
    assert all(torch.equal(together[index : index + 1], layer(rows[index : index + 1])) for index in range(8))


def test_the_second_start_reads_what_the_first_one_quantised(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = logits_of(weights.load(tiny_folder, tmp_path, "int8", 512), [1, 2, 3], (3,))
    monkeypatch.setattr(weights, "quantise", None)
    assert torch.equal(logits_of(weights.load(tiny_folder, tmp_path, "int8", 512), [1, 2, 3], (3,)), first)


def test_a_cache_file_that_was_cut_short_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    weights.load(tiny_folder, tmp_path, "int8", 512)
    [file] = tmp_path.glob("*.tensors")
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="remove it"):
        weights.load(tiny_folder, tmp_path, "int8", 512)


def test_tensors_come_back_from_their_file_as_they_were_and_aligned(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 5), "b": torch.arange(7, dtype=torch.int8), "c": torch.ones(1, dtype=torch.bfloat16)}
    tensorfile.write(tmp_path / "x.tensors", tensors)
    back = tensorfile.read(tmp_path / "x.tensors")
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert all(tensor.data_ptr() % tensorfile.ALIGNMENT == 0 for tensor in back.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "'gpt2' is not supported; have llama"),
        ({"hidden_act": "gelu"}, "'gelu' is not supported"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "'longrope' is not supported"),
    ],
)
def test_a_network_that_is_not_this_one_is_refused(change: dict[str, object], message: str, tiny_folder: Path) -> None:
    config = json.loads((tiny_folder / "config.json").read_text())
    with pytest.raises(ModelError, match=message):
        Architecture.from_config({**config, **change})


def test_a_folder_without_weights_says_what_should_be_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: not found"):
        weights.load(tmp_path, tmp_path, "int8", 512)


@pytest.mark.parametrize("kind", ["int4", "bf16"])
def test_a_row_is_the_same_to_the_bit_in_any_company(tiny_folder: Path, tmp_path: Path, kind: str) -> None:
    """Else drafted replies would part from plain ones."""
    model = weights.load(tiny_folder, tmp_path, kind, 512)
    runner, pages = Runner(model, 16, 16), list(range(8))
    tokens = [(7 * n) % 250 for n in range(100)]
    runner.run([Rows(tokens[:90], 0, pages, 0)])
    alone = [runner.run([Rows([tokens[n]], n, pages, 1)])[0] for n in range(90, 98)]
    for n_rows in (2, 3, 5, 8):
        together = runner.run([Rows(tokens[90 : 90 + n_rows], 90, pages, n_rows), Rows([3], 0, [9], 1)])[0]
        assert together is not None
        for mine, row in zip(alone, together, strict=False):
            assert mine is not None
            assert torch.equal(mine[0], row)
