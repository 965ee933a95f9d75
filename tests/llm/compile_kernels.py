"""Compiles every kernel of a pass and of a choice for a Hopper device, as they are launched, and launches none.

Triton is told of a device that is not there: it sees the arguments' types, compiles to machine code, and hands it to a
driver that does nothing. Run by test_gpu_compile.py in a process of its own: in one that interprets Triton, nothing is
compiled. Prints how many kernels were compiled and how often one was launched.
"""

import dataclasses
from typing import Any, ClassVar

import torch
import triton
from triton.backends.compiler import GPUTarget

from npc.llm import weights
from npc.llm.architecture import Architecture
from npc.llm.gpu import kernels
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.runner import GpuRunner
from npc.profile.random_model import SHAPES, random_tensors

MOST_SHARED = 227 * 1024
"""Bytes of shared memory that a block may have on Hopper."""


class Launcher:
    n_launched = 0

    def __init__(self, source: Any, metadata: Any) -> None:  # Triton's own
        pass

    def __call__(self, *_: Any) -> None:
        Launcher.n_launched += 1


class Utils:
    names: ClassVar[set[str]] = set()

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": MOST_SHARED, "multiprocessor_count": 132, "warpSize": 32, "max_num_regs": 65536}

    def load_binary(self, name: str, kernel: bytes, shared: int, device: int) -> tuple[int, int, int, int, int]:
        assert shared <= MOST_SHARED, name
        Utils.names.add(name)
        return 0, 0, 64, 0, 1024


class NoDevice:
    launcher_cls, utils = Launcher, Utils()

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)


def launch_all(shape: str, format_: str, cache_type: str, **changes: Any) -> None:  # an Architecture's own fields
    config = SHAPES[shape] | {"num_hidden_layers": 1, "vocab_size": 4096}
    arch = Architecture.from_config(config)
    tensors = dict(random_tensors(arch, format_, "cpu"))
    if changes.get("has_qk_norm"):
        tensors |= dict.fromkeys(("0.q_norm", "0.k_norm"), torch.ones(arch.head_dim))
    model = weights.assemble(dataclasses.replace(arch, **changes), tensors, format_, 2048, DeviceLinear)
    runner = GpuRunner(model, 8, 16, cache_type, kernels.TritonOps)
    for n in (1, 2, 32, 64):
        runner._forward(n)
        runner._choose(n)
    if format_ == "int4":
        kernels.unpack(model.layers[0].out)


if __name__ == "__main__":
    triton.runtime.driver.set_active(NoDevice())
    kernels._units = lambda x: triton.language.bfloat16
    torch.set_num_threads(1)
    launch_all("8b", "int4", "bf16")
    launch_all("135m", "int8", "int8", has_qk_norm=True, windows=(100,))
    launch_all("135m", "bf16", "bf16")
    print(sorted(Utils.names), Launcher.n_launched)
