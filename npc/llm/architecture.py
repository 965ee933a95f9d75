"""What a model folder's `config.json` says of the network's shape.

Llama, SmolLM, SmolLM3, Mistral, Qwen2/2.5 and Qwen3 differ in little: biases,
q/k norms, which layers rotate, how far a layer looks back. All of it is read
here, so that `model.py` holds one network.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from npc.errors import ModelError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")


@dataclass(frozen=True, slots=True)
class Rotary:
    """Rotary positions (arXiv 2104.09864) and how their frequencies are stretched for long contexts."""

    theta: float = 10_000.0
    kind: str = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_positions: int = 0

    def tables(self, head_dim: int, n_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """cos and signed sin, both [n_positions, 1, head_dim] float32.

        The sign of rotate-half is folded into sin: x·cos + roll(x)·sin is the rotation.
        """
        half = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        frequencies = 1.0 / self.theta**half
        if self.kind == "linear":
            frequencies = frequencies / self.factor
        elif self.kind == "llama3":
            frequencies = self._llama3(frequencies)
        angles = torch.arange(n_positions, dtype=torch.float32)[:, None] * frequencies
        cos, sin = angles.cos(), angles.sin()
        return torch.cat((cos, cos), -1)[:, None], torch.cat((-sin, sin), -1)[:, None]

    def _llama3(self, frequencies: torch.Tensor) -> torch.Tensor:
        """Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between are blended."""
        wavelengths = 2 * math.pi / frequencies
        blend = (self.original_positions / wavelengths - self.low_freq_factor) / (
            self.high_freq_factor - self.low_freq_factor
        )
        blend = blend.clamp(0, 1)
        return (1 - blend) * frequencies / self.factor + blend * frequencies


@dataclass(frozen=True, slots=True)
class Architecture:
    family: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    norm_eps: float
    rotary: Rotary
    rotates: tuple[bool, ...]
    """Which layers rotate q and k (SmolLM3 leaves every fourth alone)."""
    windows: tuple[int, ...]
    """How many positions each layer looks back; 0 is all of them."""
    has_qk_norm: bool
    is_tied: bool
    max_positions: int
    eos_ids: tuple[int, ...]

    @property
    def q_size(self) -> int:
        return self.n_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Numbers that one token leaves in one layer's cache: its keys and its values."""
        return 2 * self.n_kv_heads * self.head_dim

    @classmethod
    def read(cls, folder: Path) -> "Architecture":
        """Raises ModelError when the folder holds no config of a family that is known here."""
        path = folder / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(
                f"{path}: not found; a model folder holds config.json, tokenizer.json, *.safetensors"
            ) from None
        except ValueError as error:
            raise ModelError(f"{path}: not valid JSON ({error})") from error
        generation = folder / "generation_config.json"
        if generation.exists():
            eos = json.loads(generation.read_text(encoding="utf-8")).get("eos_token_id")
            config["eos_token_id"] = _ids(config.get("eos_token_id")) + _ids(eos)
        try:
            return cls.from_config(config)
        except KeyError as missing:
            raise ModelError(f"{path}: {missing} is missing") from missing
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Architecture":  # a JSON object of the family's own keys
        family = config.get("model_type", "")
        if family not in FAMILIES:
            raise ModelError(f"model_type {family!r} is not supported; have {', '.join(FAMILIES)}")
        if config.get("hidden_act", "silu") != "silu":
            raise ModelError(f"hidden_act {config['hidden_act']!r} is not supported; have 'silu'")
        n_layers, n_heads = config["num_hidden_layers"], config["num_attention_heads"]
        no_rope = config.get("no_rope_layers") if family == "smollm3" else None
        return cls(
            family=family,
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            intermediate_size=config["intermediate_size"],
            n_layers=n_layers,
            n_heads=n_heads,
            n_kv_heads=config.get("num_key_value_heads") or n_heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // n_heads,
            norm_eps=config.get("rms_norm_eps", 1e-6),
            rotary=_rotary(config),
            rotates=tuple(bool(flag) for flag in no_rope) if no_rope else (True,) * n_layers,
            windows=_windows(config, family, n_layers),
            has_qk_norm=family == "qwen3",
            is_tied=bool(config.get("tie_word_embeddings", False)),
            max_positions=config.get("max_position_embeddings", 2048),
            eos_ids=tuple(dict.fromkeys(_ids(config.get("eos_token_id")))),
        )


def _ids(value: int | list[int] | None) -> list[int]:
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)


def _rotary(config: Mapping[str, Any]) -> Rotary:
    # transformers 5 writes rope_parameters; before it, rope_theta and rope_scaling stood apart
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = scaling.get("rope_theta") or config.get("rope_theta") or 10_000.0
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    if kind not in ("default", "linear", "llama3"):
        raise ModelError(f"rotary scaling {kind!r} is not supported; have default, linear, llama3")
    return Rotary(
        theta=float(theta),
        kind=kind,
        factor=float(scaling.get("factor", 1.0)),
        low_freq_factor=float(scaling.get("low_freq_factor", 1.0)),
        high_freq_factor=float(scaling.get("high_freq_factor", 4.0)),
        original_positions=int(scaling.get("original_max_position_embeddings", 0)),
    )


def _windows(config: Mapping[str, Any], family: str, n_layers: int) -> tuple[int, ...]:
    window = config.get("sliding_window") or 0
    if family == "llama" or not config.get("use_sliding_window", family == "mistral"):
        window = 0
    kinds = config.get("layer_types")
    if window and kinds and family != "mistral":
        return tuple(window if kind == "sliding_attention" else 0 for kind in kinds)
    return (window,) * n_layers
