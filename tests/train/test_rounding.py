import torch
from torch import nn

from npc.llm.layout import GROUP
from npc.llm.linear import Int4Linear, Int8Linear
from npc.train.rounding import TunedLinear, add_low_rank, add_rounding, rounded_int4, rounded_int8


def multiplied_by(linear: Int4Linear | Int8Linear, n_in: int) -> torch.Tensor:
    """The weights [n_out, n_in] as the kernel sees them; activations may be rounded, so of one input at a time."""
    return linear(torch.eye(n_in, dtype=torch.bfloat16)).float().T


def test_int4_in_training_is_what_the_engines_kernel_multiplies_by() -> None:
    torch.manual_seed(1)
    weight = torch.randn(32, 4 * GROUP).bfloat16()
    kernel = multiplied_by(Int4Linear(Int4Linear.pack(weight, None)), 4 * GROUP)
    ours = rounded_int4(weight.float())
    # The kernel's result is rounded to bf16 once more.
    torch.testing.assert_close(ours, kernel, rtol=2**-7, atol=2**-7)
    assert (ours - weight.float()).abs().max() > 0.05


def test_int8_in_training_is_what_the_engines_kernel_multiplies_by() -> None:
    torch.manual_seed(1)
    weight = torch.randn(16, 2 * GROUP).bfloat16()
    kernel = multiplied_by(Int8Linear(Int8Linear.pack(weight, None)), 2 * GROUP)
    torch.testing.assert_close(rounded_int8(weight.float()), kernel, rtol=2**-7, atol=2**-7)


def rounded(n_out: int) -> TunedLinear:
    tuned = TunedLinear(nn.Linear(GROUP, n_out, bias=False))
    tuned.rounds_to, tuned.is_rounded = "int4", True
    return tuned


def test_what_is_multiplied_by_is_rounded_and_gradients_pass_straight_through() -> None:
    tuned = rounded(16)
    made = tuned(torch.eye(GROUP))
    torch.testing.assert_close(made.T, rounded_int4(tuned.weight.detach()))
    made.sum().backward()
    assert torch.equal(tuned.weight.grad, torch.ones(16, GROUP))


def test_a_switched_off_rounding_changes_nothing() -> None:
    tuned = rounded(16)
    tuned.is_rounded = False
    assert torch.equal(tuned(torch.eye(GROUP)).T, tuned.weight)


def test_low_rank_tuning_trains_nothing_else_and_begins_as_the_base() -> None:
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj = nn.Linear(GROUP, 16, bias=False)
            self.lm_head = nn.Linear(16, 8, bias=False)

    model = Tiny()
    inputs = torch.randn(3, GROUP)
    before = model.q_proj(inputs).detach().clone()
    add_low_rank(model, rank=4, alpha=8)
    assert torch.equal(model.q_proj(inputs), before)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"q_proj.a", "q_proj.b"}
    assert len(add_rounding(model, "int4")) == 2
    assert not torch.equal(model.q_proj(inputs), before)
