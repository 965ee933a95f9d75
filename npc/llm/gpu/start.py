"""An engine on a CUDA device, from a model's folder."""

import logging
from pathlib import Path

import torch

from npc.config import LanguageModelSettings
from npc.llm import weights
from npc.llm.architecture import Architecture
from npc.llm.cache import CACHES
from npc.llm.engine import PAGE_SIZE, Engine
from npc.llm.gpu import memory
from npc.llm.gpu.runner import GpuRunner
from npc.llm.gpu.step import N_ROWS, Ops
from npc.llm.gpu.twin import TorchOps
from npc.llm.model import Transformer
from npc.llm.scheduler import Limits

_log = logging.getLogger(__name__)

LIMITS = Limits(n_running=N_ROWS, chunk=2048, chunk_beside_replies=512, n_rows=N_ROWS)
"""A device reads a prompt's chunk of this size in the time of a few tokens."""


def start(model_folder: Path, derived: Path, settings: LanguageModelSettings) -> Engine:
    """Raises ModelError: when the weights are not as they should be, or do not fit the device."""
    check(model_folder, settings)
    model = weights.load(model_folder, derived, settings.weights, settings.context_tokens, "cuda")
    return engine(model, settings, derived)


def check(model_folder: Path, settings: LanguageModelSettings) -> None:
    """Raises ModelError when the model does not fit what is free of the device now."""
    memory.check(Architecture.read(model_folder), settings, *torch.cuda.mem_get_info())


def engine(model: Transformer, settings: LanguageModelSettings, derived: Path | None = None) -> Engine:
    """`derived` may hold what `tuning` found for the device."""
    token_bytes = CACHES[settings.cache_type].token_bytes(model.arch, model.dtype)
    n_pages = max(1, settings.cache_mb * 2**20 // (PAGE_SIZE * token_bytes))
    runner = GpuRunner(model, n_pages, PAGE_SIZE, settings.cache_type, lambda each: make_ops(each, derived))
    return Engine(model, model.arch.eos_ids, n_pages, LIMITS, cache_type=settings.cache_type, runner=runner)


def make_ops(model: Transformer, derived: Path | None = None) -> Ops:
    """Triton's kernels where they run, else torch's, which are slower by far (it is logged)."""
    if model.device.type != "cuda":
        return TorchOps(model)
    try:
        from npc.llm.gpu.kernels import TritonOps
        from npc.llm.gpu.tuning import read
    except ImportError as error:
        _log.warning("no Triton (%s), so the language model runs on torch's own kernels, more slowly", error)
        return TorchOps(model)
    if not TritonOps.suits(model):
        _log.warning("heads of %d are no power of two, so torch's own kernels run", model.arch.head_dim)
        return TorchOps(model)
    return TritonOps(model, read(derived))
