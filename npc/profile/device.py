"""The language model engine on one device, beside what its memory allows: `npc profile llm --device`.

Nothing is compared here with other programs. Each figure stands beside its
limit: the bytes that a token reads, over the rate at which the same device
copied memory in the same run.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel

from npc.config import LanguageModelSettings
from npc.errors import ConfigError
from npc.llm import weights
from npc.llm.architecture import Architecture
from npc.llm.cache import CACHES
from npc.llm.engine import Engine
from npc.llm.gpu import start
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.step import on_device
from npc.llm.gpu.twin import TorchOps
from npc.llm.model import Transformer
from npc.llm.reply import ReplyText
from npc.llm.sampler import Sampler
from npc.llm.sequence import Output
from npc.llm.sequence import Sequence as Text
from npc.llm.tokenizer import TokenStream
from npc.profile import random_model
from npc.turn import GenerationEnd, Sampling

Report = dict[str, Any]  # JSON: names of measures and figures


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    n_prompt: int = 128
    n_written: int = 256
    n_sessions: int = 64
    n_context: int = 500
    """Tokens of each of the sessions, before it writes."""
    n_cached: int = 1000
    n_new: int = 32
    n_rounds: int = 5


SMALL = Sizes(n_prompt=8, n_written=12, n_sessions=6, n_context=24, n_cached=40, n_new=8, n_rounds=2)


def run_device_profile(
    settings: LanguageModelSettings,
    shape: str,
    folder: Path,
    sizes: Sizes | None = None,
    tuning_s: float = 0.0,
    note: Callable[[Report], None] = lambda report: None,
) -> Report:
    """All figures of one model. `note` hears of each part as soon as it is known, so that a stop loses little.

    `shape` is one of `random_model.SHAPES`; `folder` takes what is written: some gigabytes for the largest in int4.
    With `tuning_s`, so many seconds are spent first on finding better blocks for the kernels.
    """
    if settings.device == "auto":
        raise ConfigError("a profile of a device names it: --device cuda or --device cpu")
    device, sizes = settings.device, sizes or (SMALL if shape == "tiny" else Sizes())
    report: Report = {"shape": shape, "weights": settings.weights, "device": device_name(device)}

    def add(**parts: Any) -> None:  # JSON
        report.update(parts)
        note(report)

    add(copy_gb_per_s=round(copy_rate(device), 1))
    model, load_s = _load(settings, shape, folder)
    if tuning_s:
        add(tuning=_tune(model, folder, tuning_s))
    began = time.monotonic()
    engine = start.engine(model, settings, folder)
    _synchronize(device)
    add(start_up_s={"load": round(load_s, 2), "engine": round(time.monotonic() - began, 2)}, memory=memory_gb(device))
    bench = _Bench(engine, model)
    bench.write([bench.prompt(sizes.n_prompt)], 8)
    add(decode=_decode(bench, model, report["copy_gb_per_s"], sizes))
    add(first_token_ms=_first_token(bench, sizes))
    add(together=_together(bench, model, report["copy_gb_per_s"], sizes))
    add(where=_where(bench, sizes, device))
    add(error_beside_torch=_error(model, settings, folder))
    if device == "cuda":
        add(pass_us=_pass_us(model, settings, folder))
    began = time.monotonic()
    start.engine(model, settings.model_copy(update={"cache_mb": 64}), folder)
    _synchronize(device)
    add(start_up_s=report["start_up_s"] | {"engine_again": round(time.monotonic() - began, 2)})
    add(memory=memory_gb(device))
    return report


def for_shape(settings: LanguageModelSettings, shape: str) -> LanguageModelSettings:
    """With room for all the sessions that are measured. Raises ConfigError for a shape that nobody knows."""
    if shape not in random_model.SHAPES:
        raise ConfigError(f"there is no shape {shape!r}; have {', '.join(random_model.SHAPES)}")
    sizes = SMALL if shape == "tiny" else Sizes()
    arch = Architecture.from_config(random_model.SHAPES[shape])
    n_tokens = sizes.n_sessions * (sizes.n_prompt + sizes.n_context + 2 * sizes.n_written) + 4 * sizes.n_cached
    cache_mb = 1 + n_tokens * CACHES[settings.cache_type].token_bytes(arch, torch.bfloat16) // 2**20
    return settings.model_copy(update={"model": shape, "cache_mb": cache_mb})


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def copy_rate(device: str) -> float:
    """GB/s that a copy within the device's memory moves, read and written."""
    n_bytes = 2**32 if device == "cuda" else 2**26
    source = torch.randint(0, 255, (n_bytes,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times = []
    for _ in range(6):
        _synchronize(device)
        began = time.monotonic()
        target.copy_(source)
        _synchronize(device)
        times.append(time.monotonic() - began)
    return 2 * n_bytes / statistics.median(times[1:]) / 1e9


def memory_gb(device: str) -> Report:
    if device != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "taken": round((total - free) / 1e9, 2),
        "allocated": round(torch.cuda.memory_allocated() / 1e9, 2),
        "most_allocated": round(torch.cuda.max_memory_allocated() / 1e9, 2),
    }


def token_bytes(model: Transformer) -> int:
    """What one token reads of the weights."""
    layers = [each for layer in model.layers for each in (layer.qkv, layer.out, layer.gate_up, layer.down)]
    return sum(on_device(each).n_bytes for each in [*layers, model.head])


class _Bench:
    """Replies of a fixed length on an engine that is stepped here."""

    def __init__(self, engine: Engine, model: Transformer) -> None:
        self._engine, self._vocab_size = engine, model.arch.vocab_size
        self._library = Tokenizer(WordLevel({f" w{index}": index for index in range(self._vocab_size)}, " w0"))
        self._library.decoder = Fuse()
        self._n_prompts = 0

    def prompt(self, n: int) -> list[int]:
        """`n` tokens that begin like no other prompt."""
        self._n_prompts += 1
        made = torch.Generator().manual_seed(self._n_prompts)
        return torch.randint(1, self._vocab_size, (n,), generator=made).tolist()

    def write(
        self, prompts: Sequence[Sequence[int]], n: int, temperature: float = 0.0
    ) -> tuple[list[GenerationEnd], list[float]]:
        """The ends of replies of `n` tokens, and the seconds that each step took."""
        outputs: list[list[Output]] = [[] for _ in prompts]
        for prompt, own in zip(prompts, outputs, strict=True):
            sampling = Sampling(temperature, repetition_penalty=1.0, max_tokens=n, seed=1)
            text = ReplyText(TokenStream(self._library), ())
            self._engine.add(Text(list(prompt), len(prompt), n, own.append, Sampler(sampling), text))
        steps_s = []
        while not self._engine.is_idle:
            began = time.monotonic()
            self._engine.step()
            steps_s.append(time.monotonic() - began)
        ends = [own[-1] for own in outputs]
        if wrong := [end for end in ends if not isinstance(end, GenerationEnd)]:
            raise ConfigError(f"the engine gave no reply to measure: {wrong[0]}")
        return [end for end in ends if isinstance(end, GenerationEnd)], steps_s


def _load(settings: LanguageModelSettings, shape: str, folder: Path) -> tuple[Transformer, float]:
    """The model, and the seconds that it took from the cache file (bfloat16's is made in place: 0)."""
    device, format_ = settings.device, settings.weights
    n_positions = settings.context_tokens
    if device == "cpu" or format_ == "bf16":
        arch = Architecture.from_config(random_model.SHAPES[shape])
        tensors = dict(random_model.random_tensors(arch, format_, device))
        return weights.assemble(arch, tensors, format_, n_positions, DeviceLinear), 0.0
    derived = random_model.write(folder, shape, format_, device)
    torch.cuda.synchronize()
    began = time.monotonic()
    start.check(folder, settings)
    model = weights.load(folder, derived, format_, n_positions, device)
    torch.cuda.synchronize()
    took = time.monotonic() - began
    for path in derived.glob("*.tensors"):
        path.unlink()
    return model, took


def _tune(model: Transformer, folder: Path, seconds: float) -> Report:
    from npc.llm.gpu.tuning import quickest, tune, write

    end = time.monotonic() + seconds
    trials = tune(model, is_over=lambda: time.monotonic() > end)
    write(folder, quickest(trials))
    return {
        "took_s": round(seconds - (end - time.monotonic()), 1),
        "gb_per_s": [
            {"matrix": list(key), "blocks": {str(blocks): round(rate) for blocks, rate in own}}
            for key, own in trials.items()
        ],
    }


def _decode(bench: _Bench, model: Transformer, copy_gb_per_s: float, sizes: Sizes) -> Report:
    def rate(temperature: float) -> float:
        rates = []
        for _ in range(sizes.n_rounds):
            [end], _ = bench.write([bench.prompt(sizes.n_prompt)], sizes.n_written, temperature)
            rates.append((sizes.n_written - 1) / end.decode_ms * 1000)
        return statistics.median(rates)

    arch = model.arch
    past = (sizes.n_prompt + sizes.n_written / 2) * arch.n_layers * arch.kv_size * model.dtype.itemsize
    limit = copy_gb_per_s * 1e9 / (token_bytes(model) + past)
    greedy, drawn = rate(0.0), rate(0.7)
    return {
        "tokens_per_s": round(greedy, 1),
        "limit_tokens_per_s": round(limit, 1),
        "of_limit": round(greedy / limit, 3),
        "drawn_tokens_per_s": round(drawn, 1),
        "gb_a_token": round((token_bytes(model) + past) / 1e9, 3),
    }


def _first_token(bench: _Bench, sizes: Sizes) -> Report:
    times = []
    cached = bench.prompt(sizes.n_cached)
    bench.write([cached], 0)
    for _ in range(3 * sizes.n_rounds):
        [end], _ = bench.write([[*cached, *bench.prompt(sizes.n_new)]], 1)
        times.append(end.prefill_ms)
        cached_now = end.n_cached_tokens
    uncached = bench.write([bench.prompt(sizes.n_cached)], 1)[0][0].prefill_ms
    return {
        "median": round(statistics.median(times), 2),
        "most": round(max(times), 2),
        "n_cached": cached_now,
        "uncached": round(uncached, 1),
    }


def _together(bench: _Bench, model: Transformer, copy_gb_per_s: float, sizes: Sizes) -> Report:
    """Many sessions that write at once; their prompts were read before."""
    arch, n = model.arch, sizes.n_sessions
    prompts = [bench.prompt(sizes.n_context) for _ in range(n)]
    for prompt in prompts:
        bench.write([prompt], 0)
    began = time.monotonic()
    _, steps_s = bench.write(prompts, sizes.n_written)
    took = time.monotonic() - began
    alone = sorted(steps_s[-(sizes.n_written - 2) :])  # steps in which nothing but replies is made
    past = n * (sizes.n_context + sizes.n_written / 2) * arch.n_layers * arch.kv_size * model.dtype.itemsize
    return {
        "sessions": n,
        "tokens_per_s": round(n * sizes.n_written / took),
        "between_tokens_ms": {
            "p50": round(1000 * statistics.median(alone), 2),
            "p95": round(1000 * alone[int(0.95 * (len(alone) - 1))], 2),
            "most": round(1000 * alone[-1], 2),
        },
        "limit_tokens_per_s": round(n * copy_gb_per_s * 1e9 / (token_bytes(model) + past)),
    }


def _where(bench: _Bench, sizes: Sizes, device: str) -> Report:
    """Microseconds of the device a token, by kernel, and what passes besides: one session, and many."""
    return {
        "one": _profiled(bench, [bench.prompt(sizes.n_prompt)], sizes.n_prompt // 4, device),
        "many": _profiled(
            bench, [bench.prompt(sizes.n_prompt) for _ in range(sizes.n_sessions)], sizes.n_prompt // 8, device
        ),
    }


def _profiled(bench: _Bench, prompts: Sequence[Sequence[int]], n: int, device: str) -> Report:
    from torch.profiler import ProfilerActivity, profile

    for prompt in prompts:
        bench.write([prompt], 0)
    bench.write(prompts, 2)
    activities = [ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU]
    with profile(activities=activities) as taken:
        _, steps_s = bench.write(prompts, n)
        _synchronize(device)
    rows = []
    for event in taken.key_averages():
        on_it = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        rows.append((on_it / n, event.count / n, event.key[:80]))
    rows.sort(reverse=True)
    busy = sum(row[0] for row in rows)
    wall = 1e6 * sum(steps_s) / n
    return {
        "us_a_step": round(wall, 1),
        "us_device_busy": round(busy, 1),
        "kernels": [{"us": round(us, 1), "launches": round(count, 1), "name": name} for us, count, name in rows[:16]],
    }


def _error(model: Transformer, settings: LanguageModelSettings, folder: Path) -> Report:
    """How far the kernels' logits are from those of torch's on this device, for the same rows and pages, relatively."""
    from npc.llm.gpu.runner import GpuRunner
    from npc.llm.runner import Rows

    made = torch.Generator().manual_seed(3)
    ids = torch.randint(1, model.arch.vocab_size, (48,), generator=made).tolist()
    report = {}
    for n in (1, 5, 40):
        logits = []
        for make_ops in (lambda each: start.make_ops(each, folder), TorchOps):
            runner = GpuRunner(model, 4, 16, settings.cache_type, make_ops, is_captured=False)
            pages = [0, 1, 2]
            runner.run([Rows(ids[:-n], 0, pages, 0)])
            [result] = runner.run([Rows(ids[-n:], 48 - n, pages, 1)])
            assert isinstance(result, torch.Tensor)
            logits.append(result.float())
        report[f"{n}_rows"] = float(f"{(logits[0] - logits[1]).norm() / logits[1].norm():.2g}")
    return report


def _pass_us(model: Transformer, settings: LanguageModelSettings, folder: Path) -> Report:
    """Microseconds of a pass alone, by rows: what a draft of so many tokens costs to check."""
    from npc.llm.gpu.runner import GpuRunner
    from npc.llm.gpu.step import BUCKETS
    from npc.llm.gpu.tuning import device_ms

    runner = GpuRunner(model, 64, 16, settings.cache_type, lambda each: start.make_ops(each, folder), is_captured=False)
    own, forward = runner._buffers, runner._step.forward
    own.ids.copy_(torch.arange(1, len(own.ids) + 1))
    own.places[:, 0] = 200
    own.places[:, 1:14] = torch.arange(13, device=own.places.device)
    with torch.inference_mode():
        return {str(n): round(1000 * device_ms(lambda _, n=n: forward(n), 1), 1) for n in BUCKETS}  # type: ignore[misc]


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
