"""Which blocks a product is cut into on this device: tried, held to the twin's result, timed, and kept in a file."""

import dataclasses
import json
import logging
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import triton

from npc.llm.gpu.kernels import (
    MOST_PLAIN,
    Blocks,
    Scratch,
    Tuned,
    default_blocks,
    multiply,
    plain,
)
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.step import N_ROWS, Mode, on_device
from npc.llm.gpu.twin import TorchOps
from npc.llm.gpu.upload import new_event
from npc.llm.model import RmsNorm, Transformer

_log = logging.getLogger(__name__)
_PROGRAMS = 8 * 132
"""More than these are not wanted of a product: eight for each multiprocessor of an H200."""
_CACHE_BYTES = 128 * 2**20
"""More than a device's L2 holds: what is timed reads this much between two visits of the same weights."""

Trials = Mapping[tuple[str, int, int, int], Sequence[tuple[Blocks, float]]]
"""By the keys of `Tuned`: blocks that gave what the twin gives, and GB/s of weights; the quickest first."""


def read(derived: Path | None) -> Tuned:
    """What was found before for this device; nothing, where nothing was."""
    path = derived and derived / _name()
    if path is None or not path.exists():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {tuple(key): Blocks(**blocks) for key, blocks in entries}


def write(derived: Path, tuned: Tuned) -> Path:
    path = derived / _name()
    derived.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([[list(key), dataclasses.asdict(blocks)] for key, blocks in tuned.items()]), "utf-8")
    return path


def tune(
    model: Transformer,
    n_rows: Sequence[int] = (1, 64, 2, 4, 8, 16, 32),
    time_ms: Callable[[Callable[[int], None], int], float] | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> Trials:
    """All candidates for each shape of matrix; begins with the shapes that are read most.

    `time_ms(work, n)` times work(i) over n sets of weights; `is_over` ends the search early.
    """
    time_ms = time_ms or device_ms
    uses: dict[tuple[str, int, int], list[_Use]] = {}
    for layer in model.layers:
        for use in (
            _Use(on_device(layer.qkv), layer.attention_norm),
            _Use(on_device(layer.out), mode="add"),
            _Use(on_device(layer.gate_up), layer.mlp_norm, "gate"),
            _Use(on_device(layer.down), mode="add"),
        ):
            uses.setdefault((use.linear.kind, use.linear.n_out, use.linear.n_in), []).append(use)
    head = on_device(model.head)
    uses.setdefault((head.kind, head.n_out, head.n_in), []).append(_Use(head, model.norm, is_exact=True))
    largest_first = sorted(uses.items(), key=lambda item: -item[1][0].linear.n_bytes * len(item[1]))
    scratch = Scratch.make(model.arch.hidden_size, model.dtype, model.device)
    trials: dict[tuple[str, int, int, int], list[tuple[Blocks, float]]] = {}
    for n in n_rows:
        benches = {
            (*shape, n): _Bench(model, own[: 1 + _CACHE_BYTES // own[0].linear.n_bytes], n, scratch, time_ms)
            for shape, own in largest_first
        }
        if model.device.type == "cuda" and not is_over():
            _compile(list(benches.values()))
        for key, bench in benches.items():
            own_trials = trials.setdefault(key, [])
            for blocks in bench.candidates:
                if is_over():
                    break
                own_trials.append((blocks, bench.linear.n_bytes / bench.ms(blocks) / 1e6))
    return {
        key: sorted((each for each in own if each[1] > 0), key=lambda each: -each[1]) for key, own in trials.items()
    }


def quickest(trials: Trials) -> Tuned:
    return {key: own[0][0] for key, own in trials.items() if own}


def _compile(benches: Sequence["_Bench"]) -> None:
    """All candidates, on all cores: what takes a second each would else be most of the search."""
    try:
        with ThreadPoolExecutor() as pool, triton.AsyncCompileMode(pool, ignore_errors=True):
            for bench in benches:
                for blocks in bench.candidates:
                    bench.compile(blocks)
    except Exception as error:  # an offer of Triton's that older ones lack; they are compiled one by one then
        _log.warning("the candidates are not compiled side by side: %s", error)


def candidates(linear: DeviceLinear, n: int) -> Iterator[Blocks]:
    """The default first; then what was among the quickest somewhere on an H200."""
    kind, n_in = linear.kind, linear.n_in
    yield (default := default_blocks(kind, linear.n_out, n_in, n))
    others: list[Blocks] = []
    if n <= MOST_PLAIN[kind]:
        others += [
            plain(kind, rows, n_warps, n_in) for rows in ((16, 8, 4) if n <= 2 else (4, 2)) for n_warps in (1, 2, 4)
        ]
    if kind == "int4":
        few = [(64, 256, 2, 3), (128, 256, 4, 3), (64, 128, 2, 4), (32, 256, 1, 4)]
        wanted = few if n <= 16 else [(128, 256, 4, 3), (128, 128, 4, 3), (64, 256, 4, 2), (64, 256, 4, 3)]
    else:
        wanted = [(64, 128, 4, 3), (32, 128, 4, 3), (64, 64, 4, 4), (64, 256, 4, 3), (16, 128, 4, 4)]
    for n_out, n_inputs, n_warps, n_stages in wanted:
        n_programs, n_blocks = -(-linear.n_out // n_out), -(-n_in // n_inputs)
        splits = [n for n in (1, 2, 4, 8) if n == 1 or (n_programs * n <= _PROGRAMS and n_blocks >= 2 * n)]
        others += [Blocks(n_out, n_inputs, n_warps, n_stages, n_splits) for n_splits in splits[-2:]]
    for blocks in dict.fromkeys(others):
        if blocks != default and Scratch.holds(blocks, linear.n_out, n):
            yield blocks


@dataclass(frozen=True, slots=True)
class _Use:
    """As in a step, so that what is compiled here is what runs there."""

    linear: DeviceLinear
    norm: RmsNorm | None = None
    mode: Mode = "write"
    is_exact: bool = False
    """Whether the result is float32; so is what is added to."""


class _Bench:
    """One shape of matrix, in the layers that read it."""

    def __init__(
        self,
        model: Transformer,
        uses: Sequence[_Use],
        n: int,
        scratch: Scratch,
        time_ms: Callable[[Callable[[int], None], int], float],
    ) -> None:
        first = uses[0]
        self._uses, self._n, self._scratch, self._time_ms = uses, n, scratch, time_ms
        self.linear, self.candidates = first.linear, list(candidates(first.linear, n))
        columns = first.linear.n_out // (2 if first.mode == "gate" else 1)
        x = torch.randn(N_ROWS, first.linear.n_in, device=model.device)
        self._x = x if first.norm is not None else x.to(model.dtype)
        dtype = torch.float32 if first.is_exact or first.mode == "add" else model.dtype
        self._before = torch.full((N_ROWS, columns), torch.nan, dtype=dtype, device=model.device)
        if first.mode == "add":
            self._before.normal_()
        self._out, self._exact = self._before.clone(), self._before.clone()
        TorchOps(model).product(self._x, first.linear, self._exact, n, first.norm, first.mode)

    def ms(self, blocks: Blocks) -> float:
        """A product's milliseconds; infinite where the blocks do not compile, do not fit, or give another result."""
        try:
            self._out.copy_(self._before)
            self._multiply(0, blocks)
            exact = self._exact[: self._n].float()
            error = float((self._out[: self._n].float() - exact).norm() / exact.norm())
            if not error < 0.02:
                _log.warning("%s gives another result for %s: off by %.3g", blocks, self._uses[0].linear.kind, error)
                return float("inf")
            return self._time_ms(lambda index: self._multiply(index, blocks), len(self._uses))
        except Exception as error:  # Triton and CUDA have many; none of them is more than one candidate's end
            _log.warning("%s does not run for %s: %s", blocks, self._uses[0].linear.kind, str(error).splitlines()[:1])
            return float("inf")

    def compile(self, blocks: Blocks) -> None:
        self._multiply(0, blocks, is_launched=False)

    def _multiply(self, index: int, blocks: Blocks, is_launched: bool = True) -> None:
        use = self._uses[index]
        multiply(
            self._x, use.linear, self._out, self._n, blocks, self._scratch, use.norm, use.mode, is_launched=is_launched
        )


def device_ms(work: Callable[[int], None], n: int) -> float:
    """Milliseconds a call, the median of some replays of a graph that holds as many as there are sets of weights."""
    n_calls = max(n, 20)
    work(0)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for index in range(n_calls):
            work(index % n)
    times: list[float] = []
    for _ in range(5):
        start, end = new_event(is_timed=True), new_event(is_timed=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / n_calls)
    return statistics.median(times)


def _name() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return f"blocks-{device.replace(' ', '-').lower()}.json"
