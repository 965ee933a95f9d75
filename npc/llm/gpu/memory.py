"""Whether a model fits a device, before anything of it is loaded; and what would, where it does not."""

from dataclasses import dataclass

from npc.config import LanguageModelSettings
from npc.errors import ModelError
from npc.llm.architecture import Architecture
from npc.llm.gpu.step import Buffers

_BITS = {"int4": 5.0, "int8": 8.0, "bf16": 16.0}
"""A weight with its share of the scales."""
_WORKING = 2**29
"""Compiled kernels, graphs, and what a prompt's chunk leaves between two layers."""
_UNPACKING = 12 * 4096
"""Bytes an input of the widest matrix, while prompts have it unpacked; see linear.py."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes."""

    weights: int
    cache: int
    working: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.working

    def __str__(self) -> str:
        parts = f"weights {_gb(self.weights)}, cache {_gb(self.cache)}, working memory {_gb(self.working)}"
        return f"{_gb(self.total)} GB ({parts})"


def need(arch: Architecture, settings: LanguageModelSettings) -> Need:
    widest = max(arch.hidden_size, arch.intermediate_size)
    largest = 2 * arch.hidden_size * arch.intermediate_size  # gates and ups, unpacked to bfloat16
    unpacked = 0 if settings.weights == "bf16" else 2 * largest + _UNPACKING * widest
    buffers = Buffers.n_bytes(arch, -(-settings.context_tokens // 16))
    return Need(weight_bytes(arch, settings.weights), settings.cache_mb * 2**20, _WORKING + unpacked + buffers)


def weight_bytes(arch: Architecture, weights: str) -> int:
    attention = arch.hidden_size * (2 * arch.q_size + arch.kv_size)
    layers = arch.n_layers * (attention + 3 * arch.hidden_size * arch.intermediate_size)
    words = arch.vocab_size * arch.hidden_size
    # The embedding is bfloat16, and the head no smaller than int8.
    return int(layers * _BITS[weights] / 8 + words * 2 + words * max(8.0, _BITS[weights]) / 8)


def check(arch: Architecture, settings: LanguageModelSettings, free: int, total: int) -> Need:
    """What will be taken of `free` bytes. Raises ModelError, which says what would fit, when it is more."""
    wanted = need(arch, settings)
    if wanted.total <= free:
        return wanted
    fitting = []
    for weights in ("int8", "int4"):
        other = need(arch, settings.model_copy(update={"weights": weights}))
        if _BITS[weights] < _BITS[settings.weights] and other.total <= free:
            fitting.append(f"llm.weights = '{weights}' would need {_gb(other.total)} GB")
    left_mb = (free - wanted.weights - wanted.working) // 2**20
    if left_mb >= 16:
        fitting.append(f"llm.cache_mb may be {left_mb} instead of {settings.cache_mb}")
    would = "; ".join(fitting) or "nothing of this model's size fits; take a smaller one, or llm.device = 'cpu'"
    raise ModelError(
        f"{settings.model} in {settings.weights} needs {wanted} of the device, and {_gb(free)} of its "
        f"{_gb(total)} GB are free: {would}"
    )


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f}"
