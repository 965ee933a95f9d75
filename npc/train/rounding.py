"""Weights in training as the engine will run them: rounded in the forward pass, straight through in the backward.

Each rounding here equals `pack` of npc.llm.linear followed by its kernel's
arithmetic; tests hold them together. Low-rank tuning stands before rounding,
so an adapter learns with the merged, rounded weights before its eyes.

Straight-through estimation: Bengio et al., arXiv 1308.3432. LoRA: arXiv 2106.09685.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

from npc.errors import ModelError
from npc.llm.layout import GROUP
from npc.llm.linear import fits
from npc.models.adapter import read_low_rank

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


class TunedLinear(nn.Module):
    """A linear layer in training: weight + alpha/rank · B A, rounded where `is_rounded`.

    One class for every matrix of every layer, so that what is compiled for one layer serves them all.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias  # [n_out, n_in], the very parameters: they may be tied
        self.a: nn.Parameter | None = None  # [rank, n_in]
        self.b: nn.Parameter | None = None  # [n_out, rank]
        self.scale = 1.0
        self.rounds_to = "bf16"
        self.is_rounded = False

    def add_low_rank(self, rank: int, alpha: float) -> None:
        """Zero at first: the layer begins as it was."""
        n_out, n_in = self.weight.shape
        self.a = nn.Parameter(torch.empty(rank, n_in, dtype=torch.float32, device=self.weight.device))
        self.b = nn.Parameter(torch.zeros(n_out, rank, dtype=torch.float32, device=self.weight.device))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def merged(self) -> Tensor:
        """The weight with its low-rank change, not rounded."""
        if self.a is None or self.b is None:
            return self.weight
        return self.weight + (self.scale * (self.b @ self.a)).to(self.weight.dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.merged()
        if self.is_rounded:
            rounded = rounded_int4(weight) if self.rounds_to == "int4" else rounded_int8(weight)
            weight = weight + (rounded - weight).detach()
        return F.linear(inputs, weight, self.bias)


def projections(model: nn.Module) -> dict[str, nn.Module]:
    """The matrices of attention and MLP by name; they are most of what a layer is."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | TunedLinear) and name.rpartition(".")[2] in PROJECTIONS
    }


def add_low_rank(model: nn.Module, rank: int, alpha: float) -> None:
    """Freeze everything but new low-rank changes of the projections."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name in projections(model):
        _tuned(model, name).add_low_rank(rank, alpha)


def take_over(model: nn.Module, adapter: Path) -> None:
    """Begin where an adapter ended, which was learnt with the same rank and alpha. Raises ModelError."""
    scale, tensors = read_low_rank(adapter)
    own = low_rank_parameters(model)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != {name: tuple(each.shape) for name, each in own.items()}:
        raise ModelError(f"{adapter}: changes other matrices than this recipe, or in another rank")
    scales = {each.scale for each in model.modules() if isinstance(each, TunedLinear) and each.a is not None}
    if scales != {scale}:
        raise ModelError(f"{adapter}: has alpha / rank {scale}, the recipe {', '.join(map(str, scales))}")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])


def add_rounding(model: nn.Module, weights: str) -> list[TunedLinear]:
    """Round projections as `weights` says, and the head to int8 as the engine does; nothing for bf16. Switched on."""
    if weights == "bf16":
        return []
    added: list[TunedLinear] = []
    names = [name for name, linear in projections(model).items() if fits(weights, linear.get_parameter("weight"))]
    for name, kind in [*((name, weights) for name in names), ("lm_head", "int8")]:
        tuned = _tuned(model, name)
        tuned.rounds_to, tuned.is_rounded = kind, True
        added.append(tuned)
    return added


def _tuned(model: nn.Module, name: str) -> TunedLinear:
    """The layer of this name, made a TunedLinear where it is none yet."""
    module = model.get_submodule(name)
    if isinstance(module, TunedLinear):
        return module
    if not isinstance(module, nn.Linear):
        raise TypeError(f"{name} is a {type(module).__name__}; linear layers alone can be tuned")
    tuned = TunedLinear(module)
    model.set_submodule(name, tuned)
    return tuned


def low_rank_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """In peft's names: `base_model.model.{name}.lora_A.weight`; the scale is in its config."""
    return {
        f"base_model.model.{name}.{part}.weight": parameter
        for name, linear in projections(model).items()
        if isinstance(linear, TunedLinear)
        for part, parameter in (("lora_A", linear.a), ("lora_B", linear.b))
        if parameter is not None
    }


def merged_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The whole model in bf16, in its own names: low-rank changes are added, rounding is left to the engine."""
    tensors = dict(model.state_dict())
    for name, linear in model.named_modules():
        if isinstance(linear, TunedLinear):
            tensors[f"{name}.weight"] = linear.merged()
            tensors.pop(f"{name}.a", None), tensors.pop(f"{name}.b", None)
    return {name: tensor.detach().to("cpu", torch.bfloat16).contiguous() for name, tensor in tensors.items()}
