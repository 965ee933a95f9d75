"""Weights in training as the engine will run them: rounded in the forward pass, straight through in the backward.

Each rounding here equals `pack` of npc.llm.linear followed by its kernel's
arithmetic; tests hold them together. Low-rank tuning stands before rounding,
so an adapter learns with the merged, rounded weights before its eyes.

Straight-through estimation: Bengio et al., arXiv 1308.3432. LoRA: arXiv 2106.09685.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from npc.llm.layout import GROUP
from npc.llm.linear import fits

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def rounded_int4(weight: Tensor) -> Tensor:
    """weight: [n_out, n_in], n_in a multiple of GROUP → the values that `Int4Linear` multiplies by."""
    n_out, n_in = weight.shape
    groups = weight.bfloat16().float().view(n_out, n_in // GROUP, GROUP)
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = ((high - low) / 15).clamp_min(1e-7).half().float()
    low = low.half().float()
    levels = ((groups - low) / scale).round().clamp(0, 15)
    return (levels * scale + low).view(n_out, n_in).to(weight.dtype)


def rounded_int8(weight: Tensor) -> Tensor:
    """weight: [n_out, n_in] → the values that `Int8Linear` multiplies by."""
    rows = weight.bfloat16().float()
    scale = (rows.abs().amax(1, keepdim=True) / 127).clamp_min(1e-8)
    return ((rows / scale).round().clamp(-127, 127) * scale).to(weight.dtype)


class Rounding(nn.Module):
    """A parametrization: `is_on` switches it, so that training can begin without."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        self._round = rounded_int4 if weights == "int4" else rounded_int8
        self.is_on = True

    def forward(self, weight: Tensor) -> Tensor:
        if not self.is_on:
            return weight
        with torch.no_grad():
            difference = self._round(weight) - weight
        return weight + difference


class LowRank(nn.Module):
    """A parametrization: weight + alpha/rank · B A, with A: [rank, n_in], B: [n_out, rank]."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        self.a = nn.Parameter(torch.empty(rank, n_in, dtype=torch.float32, device=weight.device))
        self.b = nn.Parameter(torch.zeros(n_out, rank, dtype=torch.float32, device=weight.device))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.scale * (self.b @ self.a)).to(weight.dtype)


def projections(model: nn.Module) -> dict[str, nn.Linear]:
    """The matrices of attention and MLP by name; they are most of what a layer is."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in PROJECTIONS
    }


def add_low_rank(model: nn.Module, rank: int, alpha: float) -> None:
    """Freeze everything but new low-rank changes of the projections."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for linear in projections(model).values():
        parametrize.register_parametrization(linear, "weight", LowRank(linear.weight, rank, alpha))


def add_rounding(model: nn.Module, weights: str) -> list[Rounding]:
    """Round projections as `weights` says, and the head to int8 as the engine does; nothing for bf16."""
    if weights == "bf16":
        return []
    added: list[Rounding] = []
    matrices = [(linear, weights) for linear in projections(model).values() if fits(weights, linear.weight)]
    for linear, kind in [*matrices, (model.get_submodule("lm_head"), "int8")]:
        rounding = Rounding(kind)
        parametrize.register_parametrization(linear, "weight", rounding)
        added.append(rounding)
    return added


def changes(linear: nn.Module) -> list[nn.Module]:
    """The parametrizations of a matrix, in their order."""
    return (
        list(linear.get_submodule("parametrizations.weight").children()) if parametrize.is_parametrized(linear) else []
    )


def low_rank_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The adapter in peft's names: `base_model.model.{name}.lora_A.weight`; the scale is in its config."""
    tensors: dict[str, Tensor] = {}
    for name, linear in projections(model).items():
        for each in changes(linear):
            if isinstance(each, LowRank):
                tensors[f"base_model.model.{name}.lora_A.weight"] = (
                    each.a.detach().to(torch.bfloat16).cpu().contiguous()
                )
                tensors[f"base_model.model.{name}.lora_B.weight"] = (
                    each.b.detach().to(torch.bfloat16).cpu().contiguous()
                )
    return tensors
