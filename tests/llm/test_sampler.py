"""From logits to a token."""

from collections import Counter

import pytest
import torch

from npc.llm.sampler import Sampler
from npc.turn import Sampling

LOGITS = torch.log(torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03]))


def drawn(sampling: Sampling, n: int = 3000, logits: torch.Tensor = LOGITS) -> dict[int, float]:
    sampler = Sampler(sampling)
    counts = Counter(sampler.choose(logits) for _ in range(n))
    return {token: count / n for token, count in counts.items()}


def test_zero_temperature_takes_the_likeliest() -> None:
    assert drawn(Sampling(temperature=0), 20) == {0: 1.0}


def test_shares_follow_the_probabilities() -> None:
    shares = drawn(Sampling(temperature=1, top_p=1, seed=1))
    assert shares == {token: pytest.approx(float(LOGITS[token].exp()), abs=0.03) for token in range(5)}


def test_temperature_sharpens() -> None:
    assert drawn(Sampling(temperature=0.5, top_p=1, seed=1))[0] == pytest.approx(0.25 / 0.3408, abs=0.03)


@pytest.mark.parametrize(("top_p", "kept"), [(0.4, 1), (0.6, 2), (0.76, 3), (0.95, 4), (1.0, 5)])
def test_top_p_keeps_the_least_that_holds_the_mass(top_p: float, kept: int) -> None:
    assert set(drawn(Sampling(temperature=1, top_p=top_p, seed=2))) == set(range(kept))


def test_top_k_keeps_the_likeliest() -> None:
    assert set(drawn(Sampling(temperature=1, top_p=1, top_k=2, seed=2))) == {0, 1}


def test_top_p_holds_where_the_mass_is_spread_thin() -> None:
    flat = torch.zeros(50_000)
    assert len(drawn(Sampling(temperature=1, top_p=0.9, seed=3), 300, flat)) > 250


def test_equal_seeds_choose_alike_and_others_do_not() -> None:
    def choices(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1, seed=seed))
        return [sampler.choose(LOGITS) for _ in range(30)]

    assert choices(4) == choices(4)
    assert choices(4) != choices(5)


def test_what_was_said_becomes_less_likely_whatever_its_sign() -> None:
    for logits in (torch.tensor([2.0, 1.9]), torch.tensor([-1.0, -1.1])):
        sampler = Sampler(Sampling(temperature=0, repetition_penalty=1.3))
        assert sampler.choose(logits) == 0
        sampler.note(0)
        assert sampler.choose(logits) == 1


def test_only_the_allowed_are_chosen() -> None:
    allowed = torch.tensor([False, False, True, False, True])
    assert set(drawn(Sampling(temperature=0))) == {0}
    sampler = Sampler(Sampling(temperature=1, top_p=1, seed=6))
    assert {sampler.choose(LOGITS, allowed) for _ in range(200)} == {2, 4}
