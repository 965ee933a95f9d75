"""Which blocks a product is cut into on this device: tried, held to the twin's result, timed, and kept in a file."""

import dataclasses
import json
import logging
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from npc.llm.gpu.kernels import Blocks, Tuned, default_blocks, multiply, padded, power_of_two
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.step import N_ROWS, on_device
from npc.llm.model import Transformer

_log = logging.getLogger(__name__)
_CACHE_BYTES = 128 * 2**20
"""More than a device's L2 holds: what is timed reads this much between two visits of the same weights."""


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
    n_rows: Sequence[int] = (1, 16, 64),
    time_ms: Callable[[Callable[[int], None], int], float] | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> dict[tuple[str, int, int, int], tuple[Blocks, float]]:
    """The quickest blocks of each shape of matrix, and GB/s; begins with the shapes that are read most.

    `time_ms(work, n)` times work(i) over n sets of weights; `is_over` ends the search early.
    """
    time_ms = time_ms or device_ms
    shapes: dict[tuple[str, int, int], list[DeviceLinear]] = {}
    for layer in model.layers:
        for each in map(on_device, (layer.qkv, layer.out, layer.gate_up, layer.down)):
            shapes.setdefault((each.kind, each.n_out, each.n_in), []).append(each)
    head = on_device(model.head)
    shapes.setdefault((head.kind, head.n_out, head.n_in), []).append(head)
    largest_first = sorted(shapes.items(), key=lambda item: -item[1][0].n_bytes * len(item[1]))
    best: dict[tuple[str, int, int, int], tuple[Blocks, float]] = {}
    for n in n_rows:
        for (kind, n_out, n_in), linears in largest_first:
            n_some = min(len(linears), 1 + _CACHE_BYTES // linears[0].n_bytes)
            x = torch.randn(N_ROWS, n_in, device=model.device).to(model.dtype)
            out = torch.empty(N_ROWS, n_out, dtype=model.dtype, device=model.device)
            exact = linears[0](x[:n]).float()
            for blocks in candidates(linears[0], n):
                if is_over():
                    return best
                ms = _try(linears[:n_some], x, out, n, blocks, exact, time_ms)
                rate = linears[0].n_bytes / ms / 1e6
                if rate > best.get((kind, n_out, n_in, padded(n)), (blocks, 0.0))[1]:
                    best[kind, n_out, n_in, padded(n)] = blocks, rate
    return best


def candidates(linear: DeviceLinear, n: int) -> Iterator[Blocks]:
    """The default first."""
    default = default_blocks(linear.kind, linear.n_out, linear.n_in, padded(n))
    yield default
    if n == 1:
        others = [
            Blocks(rows, min(each, power_of_two(linear.n_in)), warps)
            for each, warps in _ONE_ROW[linear.kind]
            for rows in (1, 2, 4, 8)
        ]
    elif linear.kind == "int4":
        others = [Blocks(32, 512, 4, 2), Blocks(64, 256, 4, 3), Blocks(64, 256, 4, 2), Blocks(16, 512, 4, 2)]
    else:
        others = [Blocks(32, 128, 4, 3), Blocks(64, 128, 4, 3), Blocks(64, 64, 4, 4), Blocks(16, 128, 4, 4)]
    yield from (each for each in dict.fromkeys(others) if each != default)


_ONE_ROW = {
    "int4": ((4096, 4), (2048, 2), (8192, 8)),
    "int8": ((2048, 4), (1024, 2), (4096, 8)),
    "dense": ((1024, 4), (512, 2), (2048, 8)),
}


def _try(
    linears: Sequence[DeviceLinear],
    x: Tensor,
    out: Tensor,
    n: int,
    blocks: Blocks,
    exact: Tensor,
    time_ms: Callable[[Callable[[int], None], int], float],
) -> float:
    """Milliseconds a product; infinite where the blocks do not compile, do not fit, or give another result."""
    try:
        out.fill_(torch.nan)
        multiply(x, linears[0], out, n, blocks)
        error = float((out[:n].float() - exact).norm() / exact.norm())
        if not error < 0.02:
            _log.warning("%s gives another result for %s: off by %.3g", blocks, linears[0].kind, error)
            return float("inf")
        return time_ms(lambda index: multiply(x, linears[index], out, n, blocks), len(linears))
    except Exception as error:  # Triton and CUDA have many; none of them is more than one candidate's end
        _log.warning("%s does not run for %s: %s", blocks, linears[0].kind, str(error).splitlines()[:1])
        return float("inf")


def device_ms(work: Callable[[int], None], n: int) -> float:
    """Milliseconds a call, the median of some replays of a graph that holds as many as there are sets of weights."""
    n_calls = max(n, 20)
    work(0)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for index in range(n_calls):
            work(index % n)
    times = []
    for _ in range(5):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / n_calls)
    return statistics.median(times)


def _name() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return f"blocks-{device.replace(' ', '-').lower()}.json"
