"""On a CUDA device alone: graphs give what launches give, near what a CPU gives, and nothing waits or allocates."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_llm import Bench, Request

from npc.config import LanguageModelSettings
from npc.errors import ModelError
from npc.llm import weights
from npc.llm.engine import PAGE_SIZE
from npc.llm.gpu import start
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.runner import GpuRunner
from npc.llm.gpu.step import on_device
from npc.llm.model import Transformer
from npc.llm.runner import Rows, Runner
from npc.turn import Sampling

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
MakeBench = Callable[..., Bench]
LETTERS = 'start: (/[a-f ]{1,6}/ | "[walk_to(place=" ("well" | "forge") ")]")+'
N_PAGES = 400


@pytest.fixture(scope="module", params=["int4", "int8", "bf16"])
def model(request: pytest.FixtureRequest, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    return weights.load(tiny_folder, tmp_path_factory.mktemp("derived"), request.param, 512, "cuda")


@pytest.fixture(scope="module")
def runners(model: Transformer) -> list[GpuRunner]:
    """With graphs, and without."""
    return [GpuRunner(model, N_PAGES, PAGE_SIZE, "bf16", start.make_ops, is_captured) for is_captured in (True, False)]


def test_the_kernels_and_not_their_twins_are_used(model: Transformer) -> None:
    from npc.llm.gpu.kernels import TritonOps

    assert isinstance(start.make_ops(model), TritonOps)


def test_logits_are_near_those_of_a_cpu(model: Transformer, runners: list[GpuRunner], tiny_folder: Path) -> None:
    kind = on_device(model.layers[0].out).kind
    format_, arch = "bf16" if kind == "dense" else kind, model.arch
    on_cpu = weights.assemble(arch, weights.quantise(arch, tiny_folder, format_), format_, 512, DeviceLinear)
    cpu = Runner(on_cpu, 8, PAGE_SIZE)
    ids, pages = [(7 * n) % 250 for n in range(90)], list(range(6))
    errors = {}
    for name, runner in zip(("graphs", "launches"), runners, strict=True):
        for before, after in ((40, 1), (41, 8), (49, 41)):  # what is read first, and what then in a few rows
            runner.run([Rows(ids[:before], 0, pages, 0)])
            cpu.run([Rows(ids[:before], 0, pages, 0)])
            [near], [exact] = (
                each.run([Rows(ids[before : before + after], before, pages, 1)]) for each in (runner, cpu)
            )
            assert isinstance(near, torch.Tensor)
            assert isinstance(exact, torch.Tensor)
            errors[name, before, after] = round(float((near.cpu().float() - exact).norm() / exact.norm()), 4)
    assert all(error < 0.06 for error in errors.values()), errors


@pytest.mark.parametrize("grammar", [None, LETTERS])
def test_graphs_write_what_launches_write(bench: MakeBench, runners: list[GpuRunner], grammar: str | None) -> None:
    chance = random.Random(5)
    for temperature, top_p, top_k in ((0, 1, 0), (0.8, 0.9, 0), (1.5, 1, 7), (1.5, 0.8, 40)):
        prompt = [chance.randrange(256) for _ in range(chance.choice((5, 40, 90)))]
        sampling = Sampling(temperature, top_p, top_k, repetition_penalty=1.2, max_tokens=40, seed=11)
        tokens = []
        for runner in runners:
            one = bench(n_pages=N_PAGES, runner=runner)
            request = one.ask(prompt, sampling, grammar)
            one.finish()
            tokens.append(request.tokens)
        assert tokens[0] == tokens[1], f"after {len(prompt)} tokens, by {sampling}"


def test_replies_that_come_and_go_all_end_and_mostly_as_alone(bench: MakeBench, runners: list[GpuRunner]) -> None:
    chance = random.Random(1)
    shared = bench(n_pages=N_PAGES, limits=start.LIMITS, runner=runners[0])
    asked: list[tuple[Request, Sampling, str | None]] = []
    for _ in range(60):
        prompt = [chance.randrange(256) for _ in range(chance.randint(1, 120))]
        sampling = Sampling(chance.choice((0, 0.7)), max_tokens=chance.randint(1, 30), seed=chance.randrange(99))
        grammar = LETTERS if chance.random() < 0.4 else None
        asked.append((shared.ask(prompt, sampling, grammar, speculates=chance.random() < 0.3), sampling, grammar))
        for _ in range(chance.randint(0, 2)):
            shared.engine.step()
    shared.finish()
    n_same = 0
    for request, sampling, grammar in asked:
        assert request.end is not None
        one = bench(n_pages=N_PAGES, runner=runners[0])
        alone = one.ask(request.sequence.tokens[: request.sequence.n_prompt], sampling, grammar)
        one.finish()
        n_same += alone.tokens == request.tokens
    # One row is multiplied in another order than many, which may part near ties; rows mixed up would part nearly all.
    assert n_same >= 30
    assert shared.engine.pages.n_available == shared.engine.pages.n_pages


@pytest.mark.parametrize("n", [1, 5, 64])
def test_a_step_neither_waits_nor_allocates(bench: MakeBench, runners: list[GpuRunner], n: int) -> None:
    """But for the one wait for tokens, which is by an event and not counted."""
    one = bench(n_pages=N_PAGES, limits=start.LIMITS, runner=runners[0])
    sampling = Sampling(temperature=0.7, max_tokens=40, seed=1)
    requests = [one.ask([index, 1, 2], sampling) for index in range(n)]
    for _ in range(6):
        one.engine.step()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            one.engine.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
    assert all(len(request.tokens) >= 20 or request.end for request in requests)
    one.finish()


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"of its \d+\.\d GB are free"):
        start.start(tiny_folder, tmp_path, LanguageModelSettings(cache_mb=10_000_000))
