"""Each Triton kernel beside its twin in torch: by Triton's interpreter, or on the device where there is one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from npc.llm import weights
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.runner import GpuRunner
from npc.llm.gpu.step import Buffers, Field
from npc.llm.gpu.twin import TorchOps
from npc.llm.linear import FORMATS
from npc.llm.model import RmsNorm, Transformer, interleave
from npc.llm.runner import Rows, Runner

pytestmark = pytest.mark.usefixtures("one_thread")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="Triton comes with torch for CUDA; for a CPU: pip install triton")
kernels = pytest.importorskip("npc.llm.gpu.kernels")


def linear(kind: str, n_out: int, n_in: int, bias: bool = False, seed: int = 1) -> DeviceLinear:
    made = torch.Generator().manual_seed(seed)
    weight = torch.randn(n_out, n_in, generator=made) / n_in**0.5
    offset = torch.randn(n_out, generator=made).bfloat16() if bias else None
    tensors = FORMATS[kind].pack(weight.bfloat16(), offset)
    return DeviceLinear({name: tensor.to(DEVICE) for name, tensor in tensors.items()})


def error(near: torch.Tensor, exact: torch.Tensor) -> float:
    return float((near.float() - exact.float()).norm() / exact.float().norm())


def blocks(kind: str, n_splits: int = 1, n_out: int = 16) -> Any:  # kernels.Blocks
    return kernels.Blocks(n_out, 256 if kind == "int4" else 128, 4, 2, n_splits)


def scratch(n_in: int) -> Any:  # kernels.Scratch
    return kernels.Scratch.make(n_in, torch.bfloat16, DEVICE)


@pytest.mark.parametrize("kind", ["bf16", "int8", "int4"])
@pytest.mark.parametrize("n", [1, 5, 33])
@pytest.mark.parametrize(("n_out", "n_in", "n_splits"), [(80, 96, 1), (64, 256, 1), (80, 1344, 2), (64, 1024, 4)])
def test_rows_times_a_matrix(kind: str, n: int, n_out: int, n_in: int, n_splits: int) -> None:
    matrix = linear(kind, n_out, n_in, bias=True)
    between = scratch(n_in)
    for seed in (2, 3):  # twice: what is counted between the parts must be as it was
        x = torch.randn(64, n_in, generator=torch.Generator().manual_seed(seed)).bfloat16().to(DEVICE)
        out = torch.full((64, n_out), torch.nan, device=DEVICE)
        kernels.multiply(x, matrix, out, n, blocks(kind, n_splits), between)
        assert error(out[:n], x[:n].float() @ matrix.unpacked().float().T + matrix.bias.float()) < 0.004
        assert out[n:].isnan().all(), "other rows are left alone"


@pytest.mark.parametrize("kind", ["bf16", "int8", "int4"])
@pytest.mark.parametrize("n", [1, 3, 8])
@pytest.mark.parametrize(
    ("n_out", "n_in", "n_inputs"), [(20, 96, 128), (16, 256, 128), (20, 1344, 1024), (32, 512, 512)]
)
@pytest.mark.parametrize("is_normed", [False, True])
def test_some_rows_times_a_matrix_by_plain_arithmetic(
    kind: str, n: int, n_out: int, n_in: int, n_inputs: int, is_normed: bool
) -> None:
    matrix = linear(kind, n_out, n_in, bias=True)
    x = 3 * torch.randn(64, n_in, generator=torch.Generator().manual_seed(2))
    x = (x if is_normed else x.bfloat16()).to(DEVICE)
    norm = RmsNorm(torch.rand(n_in).to(DEVICE) + 0.5, 1e-5, torch.float32) if is_normed else None
    exact = (x[:n].float() if norm is None else norm(x[:n])) @ matrix.unpacked().float().T + matrix.bias.float()
    out = torch.full((64, n_out), torch.nan, device=DEVICE)
    kernels.multiply(x, matrix, out, n, kernels.Blocks(8, n_inputs, by_units=False), scratch(n_in), norm)
    assert error(out[:n], exact) < 0.003
    assert out[n:].isnan().all(), "other rows are left alone"


@pytest.mark.parametrize("kind", ["bf16", "int8", "int4"])
@pytest.mark.parametrize("n", [1, 3])
def test_what_stands_before_and_after_a_matrix(kind: str, n: int) -> None:
    """The norm before, silu(gate) · up after; then the sum with what was there."""
    torch.manual_seed(4)
    hidden = (3 * torch.randn(64, 96)).to(DEVICE)
    norm = RmsNorm(torch.randn(96).to(DEVICE), 1e-5, torch.float32)
    gate, up = torch.randn(64, 96), torch.randn(64, 96)
    tensors = FORMATS[kind].pack((interleave([gate, up]) / 10).bfloat16(), None)
    both = DeviceLinear({name: tensor.to(DEVICE) for name, tensor in tensors.items()}, torch.float32)
    gated, expected = torch.zeros(64, 64, device=DEVICE), torch.zeros(64, 64, device=DEVICE)
    twin = TorchOps.__new__(TorchOps)  # products need no model
    ops = kernels.TritonOps.__new__(kernels.TritonOps)  # nor do theirs, but a place for the normalised
    ops._tuned, ops._scratch = {}, kernels.Scratch.make(96, torch.float32, DEVICE)
    ops.product(hidden, both, gated, n, norm, "gate")
    twin.product(hidden, both, expected, n, norm, "gate")
    assert error(gated[:n], expected[:n]) < 0.01
    down = linear(kind, 96, 64)
    before = hidden.clone()
    kernels.multiply(gated, down, hidden, n, blocks(kind, n_out=32), ops._scratch, None, "add")
    assert error(hidden[:n] - before[:n], gated[:n] @ down.unpacked().float().T) < 0.01
    assert torch.equal(hidden[n:], before[n:])


@pytest.mark.parametrize("n_in", [96, 256])
def test_unpacking(n_in: int) -> None:
    matrix = linear("int4", 40, n_in)
    assert error(kernels.unpack(matrix), matrix.unpacked()) < 0.006  # the interpreter cuts where bfloat16 rounds


class Both:
    """A tiny model's buffers twice, in the same state: one set for the kernels, one for the twin."""

    def __init__(self, model: Transformer, cache_type: str) -> None:
        n_pages = 12
        self.ops = kernels.TritonOps(model), TorchOps(model)
        self.caches = [Runner(model, 40, 16, cache_type).cache for _ in self.ops]
        self.buffers = [Buffers.make(model.arch, n_pages, model.dtype, model.device) for _ in self.ops]
        made = torch.Generator().manual_seed(6)
        qkv = torch.randn(64, model.arch.q_size + model.arch.kv_size, generator=made)
        past = torch.randn(40 * 16, model.arch.kv_size, generator=made)
        tables = torch.stack([torch.randperm(40, generator=made)[:n_pages] for _ in range(64)])
        for own, caches in zip(self.buffers, self.caches, strict=True):
            own.qkv.copy_(qkv)
            own.places[:, 1:] = tables
            own.places[:, 0] = torch.tensor([0, 1, 15, 16, 100, 190] + [7] * 58)
            for cache in caches:
                cache.write(torch.arange(640, device=DEVICE), past.to(DEVICE, model.dtype))


@pytest.fixture(scope="module", params=["llama", "mistral", "qwen3"])
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    from tiny_llm import write_model

    folder = tmp_path_factory.mktemp(request.param)
    options = {"sliding_window": 20} if request.param == "mistral" else {"head_dim": 16}
    write_model(folder, request.param, num_hidden_layers=1, **options)
    if DEVICE.type == "cuda":
        return weights.load(folder, folder / "derived", "bf16", 512, "cuda")
    arch = weights.Architecture.read(folder)
    return weights.assemble(arch, weights.quantise(arch, folder, "bf16"), "bf16", 512, DeviceLinear)


@pytest.mark.parametrize("cache_type", ["bf16", "int8"])
@pytest.mark.parametrize("n", [1, 6])
def test_attention_over_pages(shape: Transformer, cache_type: str, n: int) -> None:
    both = Both(shape, cache_type)
    for ops, own, caches in zip(both.ops, both.buffers, both.caches, strict=True):
        own.places[:n] = own.places[6 - n : 6].clone()
        ops.place(0, own, caches[0], n)
        ops.look(0, own, caches[0], n)
    near, exact = both.buffers
    every = torch.arange(40, device=DEVICE)
    assert error(near.queries[:n], exact.queries[:n]) < 0.006
    assert error(both.caches[0][0].read(every), both.caches[1][0].read(every)) < 0.006
    assert error(near.attended[:n], exact.attended[:n]) < 0.01


def choose(ops: object, own: Buffers, logits: torch.Tensor, **fields: list[float]) -> list[int]:
    n = len(logits)
    own.logits[:n] = logits
    params = torch.zeros(n, len(Field), dtype=torch.int32)
    params[:, Field.ROW] = torch.arange(n)
    params[:, Field.SLOT] = torch.arange(n)
    given = {"temperature": [0.0] * n, "penalty": [1.0] * n, "top_p": [1.0] * n} | fields
    for name, values in given.items():
        is_whole = name in ("top_k", "is_masked", "number_low", "number_high")
        of = torch.tensor(values, dtype=torch.int32 if is_whole else torch.float32)
        params[:, Field[name.upper()]] = of.view(torch.int32)
    own.params[:n] = params
    ops.choose(own, n)  # type: ignore[attr-defined]
    return [int(token) for token in own.chosen[:n]]


def test_choices_are_those_of_the_sampler(shape: Transformer) -> None:
    """The same number draws the same token, whatever is cut off; what is said is noted, what is masked never said."""
    made = torch.Generator().manual_seed(8)
    vocab = shape.arch.vocab_size
    for round_ in range(3):
        both = Both(shape, "bf16")
        logits = (4 * torch.randn(8, vocab, generator=made)).to(DEVICE)
        masks = torch.randint(-(2**31), 2**31 - 1, both.buffers[0].masks.shape, generator=made, dtype=torch.int32)
        fields: dict[str, list[float]] = {
            "temperature": [0, 0, 0, 0.7, 1, 1.5, 3, 1],
            "penalty": [1, 1.3, 1, 1.1, 1, 1.3, 1, 1],
            "top_p": [1, 1, 1, 0.9, 0.5, 1, 0.99, 0.8],
            "top_k": [0, 0, 0, 0, 0, 5, 0, 30],
            "is_masked": [0, 0, 1, 1, 0, 0, 0, 0],
            "number_low": torch.randint(-(2**31), 2**31 - 1, (8,), generator=made).tolist(),
            "number_high": torch.randint(-(2**31), 2**31 - 1, (8,), generator=made).tolist(),
        }
        said = (torch.rand(64, vocab, generator=made) < 0.2).to(torch.int8)
        chosen = []
        for ops, own in zip(both.ops, both.buffers, strict=True):
            own.masks.copy_(masks)
            own.said.copy_(said)
            chosen.append(choose(ops, own, logits, **fields))
            assert own.ids[:8].tolist() == chosen[-1]
            assert all(own.said[slot, token] for slot, token in enumerate(chosen[-1]))
            assert int(own.said[:8].sum() - said[:8].sum()) <= 8
        assert chosen[0] == chosen[1], f"in round {round_}"


@pytest.mark.parametrize("format_", ["bf16", "int4"])
def test_a_whole_pass_is_that_of_its_twin(format_: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three layers and the head, over pages, for a reply's row and a prompt's; an interpreter likes few programs."""
    if DEVICE.type == "cpu":
        monkeypatch.setattr(kernels, "default_blocks", lambda *shape: kernels.Blocks(128, 128, by_units=shape[3] > 1))
    arch = weights.Architecture.read(tiny_folder)
    tensors = {name: each.to(DEVICE) for name, each in weights.quantise(arch, tiny_folder, format_).items()}
    model = weights.assemble(arch, tensors, format_, 512, DeviceLinear)
    logits = []
    for make_ops in (kernels.TritonOps, TorchOps):
        runner = GpuRunner(model, 4, 16, "bf16", make_ops, is_captured=False)
        runner.run([Rows(list(range(20)), 0, [2, 0], 0)])
        [last] = runner.run([Rows([7], 20, [2, 0], 1)])
        assert isinstance(last, torch.Tensor)
        logits.append(last)
    assert error(logits[0], logits[1]) < 0.03


def test_the_quickest_blocks_that_are_right_are_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from npc.llm.gpu import tuning
    from npc.profile.random_model import SHAPES, random_tensors

    arch = weights.Architecture.from_config(SHAPES["tiny"] | {"num_hidden_layers": 1})
    model = weights.assemble(arch, dict(random_tensors(arch, "int4", DEVICE.type)), "int4", 64, DeviceLinear)
    n_tried = 0
    some = [*(blocks("int4", n_out=n_out) for n_out in (64, 128)), kernels.Blocks(128, 128, by_units=False)]
    monkeypatch.setattr(tuning, "candidates", lambda linear, n: some)

    def time_ms(work: Callable[[int], None], n_sets: int) -> float:
        nonlocal n_tried
        n_tried += 1
        work(n_sets - 1)
        return 10.0 - n_tried if n_tried < 4 else 10.0  # the third is the quickest

    found = tuning.tune(model, (1,), time_ms)
    assert len(found) == 5, "one of each shape of matrix"
    assert next(iter(found.values()))[0][0] == some[2]
    quickest = tuning.quickest(found)
    tuning.write(tmp_path, quickest)
    assert tuning.read(tmp_path) == quickest
    assert tuning.read(tmp_path / "elsewhere") == {}


def test_blocks_that_give_another_result_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from npc.llm.gpu import tuning
    from npc.profile.random_model import SHAPES, random_tensors

    arch = weights.Architecture.from_config(SHAPES["tiny"] | {"num_hidden_layers": 1})
    model = weights.assemble(arch, dict(random_tensors(arch, "int8", DEVICE.type)), "int8", 64, DeviceLinear)
    right = tuning.multiply
    some = [blocks("int8", n_out=n_out) for n_out in (64, 128)]
    monkeypatch.setattr(tuning, "candidates", lambda linear, n: some)

    def sometimes_wrong(
        x: torch.Tensor, linear: DeviceLinear, out: torch.Tensor, n: int, blocks: Any, *rest: Any, **named: Any
    ) -> None:
        right(x, linear, out, n, blocks, *rest, **named)
        if blocks.n_out != 64:
            out[:n] *= 1.1

    monkeypatch.setattr(tuning, "multiply", sometimes_wrong)
    found = tuning.tune(model, (1,), lambda work, n_sets: 1.0)
    assert {each.n_out for own in found.values() for each, _ in own} == {64}
