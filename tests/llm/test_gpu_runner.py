"""A device's runner beside the plain one: the same replies, on a CPU by the kernels' twins in torch."""

import random
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_llm import Bench, Request

from npc.llm import weights
from npc.llm.engine import PAGE_SIZE
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.runner import GpuRunner
from npc.llm.gpu.step import Ops
from npc.llm.gpu.twin import TorchOps
from npc.llm.model import Transformer
from npc.llm.scheduler import Limits
from npc.turn import Sampling

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBench = Callable[..., Bench]
LETTERS = 'start: (/[a-f ]{1,6}/ | "[walk_to(place=" ("well" | "forge") ")]")+'
WIDE = Limits(n_running=64, chunk=512, chunk_beside_replies=200, n_rows=64)


class Counting(TorchOps):
    """Counts passes, and the rows that were fed."""

    def __init__(self, model: Transformer) -> None:
        super().__init__(model)
        self.n_rows: list[int] = []

    def look(self, index: int, buffers: Any, cache: Any, n: int) -> None:  # as TorchOps has them
        if index == 0:
            self.n_rows.append(n)
        super().look(index, buffers, cache, n)


@pytest.fixture(scope="session")
def device_tiny(tiny_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    """`tiny` as a device has it."""
    arch = weights.Architecture.read(tiny_folder)
    return weights.assemble(arch, weights.quantise(arch, tiny_folder, "float32"), "float32", 512, DeviceLinear)


@pytest.fixture
def on_device(bench: MakeBench, device_tiny: Transformer) -> MakeBench:
    def make(n_pages: int = 200, make_ops: Callable[[Transformer], Ops] = TorchOps, **options: Any) -> Bench:
        cache_type = options.get("cache_type", "bf16")
        runner = GpuRunner(device_tiny, n_pages, PAGE_SIZE, cache_type, make_ops)
        return bench(n_pages=n_pages, runner=runner, **options)

    return make


class Replayed:
    """A graph's stand-in: like one, it keeps nothing alive of what it reads and writes."""

    def __init__(self, work: Callable[[int], None], n: int) -> None:
        self._work, self._n = weakref.WeakMethod(work), n

    def replay(self) -> None:
        work = self._work()
        assert work is not None, "what the graph reads and writes is gone"
        work(self._n)


def test_what_the_kernels_made_for_themselves_stays_while_graphs_use_it(
    bench: MakeBench, device_tiny: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from npc.llm.gpu import runner as runners

    runner = GpuRunner(device_tiny, 200, PAGE_SIZE, "bf16", TorchOps)
    monkeypatch.setattr(runners, "_graph", Replayed)
    runner._capture()
    assert reply(bench(runner=runner), [1, 2, 3], Sampling(0, max_tokens=5)).tokens


def reply(bench: Bench, prompt: list[int], sampling: Sampling, grammar: str | None = None) -> Request:
    request = bench.ask(prompt, sampling, grammar)
    bench.finish()
    return request


@pytest.mark.parametrize("grammar", [None, LETTERS])
@pytest.mark.parametrize("cache_type", ["bf16", "int8"])
def test_a_reply_is_that_of_the_plain_runner(
    bench: MakeBench, on_device: MakeBench, grammar: str | None, cache_type: str
) -> None:
    chance = random.Random(3)
    for temperature, top_p, top_k in ((0, 1, 0), (0.8, 0.9, 0), (1.5, 1, 7), (1.5, 0.8, 40)):
        prompt = [chance.randrange(256) for _ in range(chance.choice((5, 40, 90)))]
        sampling = Sampling(temperature, top_p, top_k, repetition_penalty=1.2, max_tokens=40, seed=11)
        plain, device = (reply(make(cache_type=cache_type), prompt, sampling, grammar) for make in (bench, on_device))
        assert device.tokens == plain.tokens
        assert device.text == plain.text


@pytest.mark.parametrize("seed", range(3))
def test_replies_that_come_and_go_at_random_are_those_of_the_plain_runner(
    bench: MakeBench, on_device: MakeBench, seed: int
) -> None:
    chance = random.Random(seed)
    beginnings = [[chance.randrange(256) for _ in range(100)] for _ in range(3)]
    shared = on_device(n_pages=60, limits=WIDE)
    asked: list[tuple[Request, Sampling, str | None, bool]] = []
    for _ in range(25):
        prompt = chance.choice(beginnings)[: chance.randint(1, 100)]
        prompt += [chance.randrange(256) for _ in range(chance.randint(1, 30))]
        sampling = Sampling(
            temperature=chance.choice((0, 0.7)),
            repetition_penalty=chance.choice((1.0, 1.2)),
            max_tokens=chance.randint(1, 25),
            seed=chance.randrange(1000),
        )
        grammar = LETTERS if chance.random() < 0.4 else None
        request = shared.ask(prompt, sampling, grammar, speculates=chance.random() < 0.3)
        asked.append((request, sampling, grammar, chance.random() < 0.2))
        for _ in range(chance.randint(0, 6)):
            shared.engine.step()
        for each, *_, leaves_early in asked:
            if leaves_early and chance.random() < 0.3:
                each.sequence.is_cancelled = True
    shared.finish()
    for request, sampling, grammar, _ in asked:
        expected = reply(bench(), request.sequence.tokens[: request.sequence.n_prompt], sampling, grammar)
        if request.end is not None:
            assert request.tokens == expected.tokens
        else:
            assert request.tokens == expected.tokens[: len(request.tokens)]
    assert shared.engine.pages.n_available == shared.engine.pages.n_pages


def test_a_reply_that_goes_on_is_fed_ahead_and_never_twice(on_device: MakeBench) -> None:
    counts: list[Counting] = []

    def counting(model: Transformer) -> Counting:
        counts.append(Counting(model))
        return counts[-1]

    one = on_device(make_ops=counting)
    reply(one, [1, 2, 3], Sampling(temperature=0, max_tokens=30))
    # The prompt's three rows in the bucket of four; the first token, which nobody foresaw; then each ahead of its time.
    assert counts[0].n_rows == [4, *[1] * 30]


def test_replies_go_on_ahead_when_one_of_them_ends(on_device: MakeBench) -> None:
    counts: list[Counting] = []

    def counting(model: Transformer) -> Counting:
        counts.append(Counting(model))
        return counts[-1]

    one = on_device(make_ops=counting)
    lengths = (5, 12, 20)
    requests = [one.ask([n, 2, 3], Sampling(temperature=0, max_tokens=n, seed=n)) for n in lengths]
    one.finish()
    assert [len(request.tokens) for request in requests] == list(lengths)
    assert len(counts[0].n_rows) == 1 + 1 + 19


def test_more_replies_than_rows_all_end(on_device: MakeBench, bench: MakeBench) -> None:
    sampling = Sampling(temperature=0, max_tokens=4, repetition_penalty=1.0)
    one = on_device(n_pages=400, limits=WIDE)
    requests = [one.ask([n, n + 1], sampling) for n in range(70)]
    one.finish()
    for n in (0, 35, 69):
        assert requests[n].tokens == reply(bench(), [n, n + 1], sampling).tokens


def test_a_device_needs_its_own_order_of_weights(tiny: Transformer) -> None:
    from npc.errors import ModelError

    with pytest.raises(ModelError, match="loaded for a CPU"):
        GpuRunner(tiny, 4, PAGE_SIZE, "bf16", TorchOps)


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_device_reads_the_weights_that_a_cpu_reads(kind: str) -> None:
    from npc.llm.linear import FORMATS, PackedLinear

    torch.manual_seed(9)
    tensors = FORMATS[kind].pack(torch.randn(75, 480), torch.randn(75).bfloat16())
    x = torch.randn(5, 480)
    expected = PackedLinear(tensors)(x)
    device = DeviceLinear(tensors, torch.float32)
    assert device.n_bytes < 75 * 480 * (0.7 if kind == "int4" else 1.1)
    near = device.unpacked() @ x.T + tensors["bias"][:, None].float()
    # A CPU may round what goes in; weights in a wrong order would have nothing to do with each other.
    assert (near - expected.T).norm() / expected.norm() < 0.02


def test_weights_are_loaded_in_a_devices_order(tiny_folder: Any, tmp_path: Any) -> None:
    model = weights.load(tiny_folder, tmp_path, "int4", 512, "cpu:0")  # the CPU, as if it were a device
    linear = model.layers[1].gate_up
    assert isinstance(linear, DeviceLinear)
    assert linear.kind == "int4"
    file = weights.tensorfile.read(weights.prepare(tiny_folder, tmp_path, "int4"))
    assert torch.equal(
        linear.weight, DeviceLinear({"packed": file["1.gate_up.packed"], "shape": file["1.gate_up.shape"]}).weight
    )
    assert torch.equal(model.embedding, file["embedding"])
