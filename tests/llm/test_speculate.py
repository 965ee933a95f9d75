"""Drafted replies are the plain ones: token for token with a seed, and as a distribution without."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from scipy.stats import chi2_contingency
from tiny_llm import Bench, Request

from npc.llm.model import Transformer
from npc.llm.speculate import Payoff, PromptLookup
from npc.turn import Sampling

MakeBench = Callable[..., Bench]


def ask(bench: Bench, speculates: bool, sampling: Sampling, prompt: list[int], grammar: str | None = None) -> Request:
    request = bench.ask(prompt, sampling, grammar, speculates)
    bench.finish()
    return request


@pytest.mark.parametrize("temperature", [0, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_drafted_reply_is_the_plain_one(bench: MakeBench, temperature: float, seed: int) -> None:
    chance = random.Random(seed)
    prompt = [chance.randrange(4) for _ in range(60)]
    sampling = Sampling(temperature=temperature, top_p=0.95, repetition_penalty=1.0, max_tokens=60, seed=seed)
    plain, drafted = (ask(bench(), speculates, sampling, prompt) for speculates in (False, True))
    assert drafted.tokens == plain.tokens


def test_what_repeats_takes_fewer_passes_than_tokens(bench: MakeBench) -> None:
    # One letter alone is legal, so the model can only repeat it, and look-up can only be right.
    sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=60)
    request = ask(bench(), True, sampling, list(b"xaaa"), "start: /a+/")
    assert request.text == "a" * 60
    end = request.end
    assert end is not None
    assert end.n_steps == end.n_generated_tokens - end.n_accepted_tokens
    assert end.n_steps < 20


def test_drafted_samples_are_distributed_as_plain_ones(bench: MakeBench) -> None:
    """Chi-square over the last two of five letters: 500 replies each way, each with a seed of its own."""
    prompt = list(b"abcabacbcaabbccacbabcbbacca")
    counts = []
    for speculates in (False, True):
        one, replies = bench(), Counter[str]()
        n_drafted = n_accepted = 0
        for index in range(500):
            seed = index if speculates else 100_000 + index
            sampling = Sampling(temperature=4, top_p=1.0, repetition_penalty=1.0, max_tokens=5, seed=seed)
            request = ask(one, speculates, sampling, prompt, "start: /[abc]+/")
            replies[request.text[-2:]] += 1
            n_drafted += request.sequence.n_drafted
            n_accepted += request.sequence.n_accepted
        counts.append(replies)
        assert (0 < n_accepted < n_drafted) == speculates
    kinds = [kind for kind in counts[0] | counts[1] if counts[0][kind] + counts[1][kind] >= 10]
    assert len(kinds) > 3
    assert chi2_contingency([[each[kind] for kind in kinds] for each in counts]).pvalue > 0.001


def test_a_grammar_holds_for_drafts_and_changes_nothing(bench: MakeBench) -> None:
    grammar = "start: (/[ab]/ | /c{3}/){1,40}"
    prompt = list(b"abcccabcccab")
    for seed in range(5):
        sampling = Sampling(temperature=1.0, top_p=1.0, repetition_penalty=1.0, max_tokens=30, seed=seed)
        plain, drafted = (ask(bench(), speculates, sampling, prompt, grammar) for speculates in (False, True))
        assert drafted.tokens == plain.tokens


@pytest.mark.parametrize("temperature", [0, 0.7])
@pytest.mark.parametrize("draft", ["near_draft", "far_draft"])
def test_a_reply_that_a_model_drafted_is_the_plain_one(
    bench: MakeBench, draft: str, temperature: float, request: pytest.FixtureRequest
) -> None:
    draft_model: Transformer = request.getfixturevalue(draft)
    plain, drafted = bench(), bench(draft_model=draft_model)
    n_drafted = n_accepted = 0
    for seed in range(6):
        chance = random.Random(seed)
        prompt = [chance.randrange(256) for _ in range(50)]
        sampling = Sampling(temperature=temperature, top_p=0.95, repetition_penalty=1.1, max_tokens=50, seed=seed)
        expected, request_ = ask(plain, False, sampling, prompt), ask(drafted, True, sampling, prompt)
        assert request_.tokens == expected.tokens
        assert request_.end is not None
        n_drafted += request_.end.n_drafted_tokens
        n_accepted += request_.end.n_accepted_tokens
    assert n_drafted > 0
    if draft == "near_draft":
        assert n_accepted > 0.5 * n_drafted
    else:
        assert n_accepted < 0.3 * n_drafted


def test_samples_that_a_model_drafted_are_distributed_as_plain_ones(bench: MakeBench, near_draft: Transformer) -> None:
    """Chi-square over the last two of four letters: 400 replies each way, each with a seed of its own."""
    counts = []
    for is_drafted in (False, True):
        one, replies = bench(draft_model=near_draft if is_drafted else None), Counter[str]()
        n_accepted = 0
        for index in range(400):
            seed = index if is_drafted else 100_000 + index
            sampling = Sampling(temperature=4, top_p=1.0, repetition_penalty=1.0, max_tokens=4, seed=seed)
            request = ask(one, is_drafted, sampling, list(b"xyz"), "start: /[abc]+/")
            replies[request.text[-2:]] += 1
            n_accepted += request.sequence.n_accepted
        counts.append(replies)
        assert (n_accepted > 0) == is_drafted
    kinds = [kind for kind in counts[0] | counts[1] if counts[0][kind] + counts[1][kind] >= 10]
    assert len(kinds) > 3
    assert chi2_contingency([[each[kind] for kind in kinds] for each in counts]).pvalue > 0.001


def test_many_replies_are_drafted_together(bench: MakeBench, near_draft: Transformer) -> None:
    sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=30)
    prompts = [[index, *range(20 + index)] for index in range(5)]
    together = bench(draft_model=near_draft)
    requests = [together.ask(prompt, sampling, speculates=True) for prompt in prompts]
    together.finish()
    for prompt, request in zip(prompts, requests, strict=True):
        assert request.tokens == ask(bench(), False, sampling, prompt).tokens
        assert request.sequence.n_accepted > 0
    assert together.engine.pages.n_available == together.engine.pages.n_pages


def test_a_remembered_prefix_is_remembered_for_the_draft_model_too(bench: MakeBench, near_draft: Transformer) -> None:
    one = bench(draft_model=near_draft)
    sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=24)
    prompt = list(range(90))
    first, again = ask(one, True, sampling, prompt), ask(one, True, sampling, prompt)
    assert again.end is not None
    assert again.end.n_cached_tokens == 89
    assert again.tokens == first.tokens
    # In other company the draft model's bfloat16 may part near ties; without the prompt it would part nearly all.
    assert again.sequence.n_accepted > 0.6 * first.sequence.n_accepted


def test_drafting_costs_time_so_a_poor_model_is_asked_seldom() -> None:
    good, poor = Payoff(), Payoff()
    lengths: dict[str, list[int]] = {"good": [], "poor": []}
    for _ in range(200):
        for name, payoff, n_right in (("good", good, 7), ("poor", poor, 0)):
            n = payoff.length(cost=0.2)
            lengths[name].append(n)
            payoff.learn(n, min(n, n_right))
    assert lengths["good"][-1] == 7
    assert sum(lengths["poor"]) < 20
    assert lengths["poor"][-33:].count(1) >= 1, "it is tried again"
    assert Payoff().length(cost=5.0) == 0, "a draft model that is slower than the network never pays"


def test_a_model_that_became_good_is_trusted_again() -> None:
    payoff = Payoff()
    for _ in range(50):
        payoff.learn(payoff.length(0.1), 0)
    for _ in range(400):
        n = payoff.length(0.1)
        payoff.learn(n, n)
    assert payoff.length(0.1) == 7


def test_look_up_finds_what_followed_the_last_time() -> None:
    assert PromptLookup().draft([1, 2, 3, 4, 5, 6, 9, 1, 2, 3], 3) == [4, 5, 6]
    assert PromptLookup().draft([1, 2, 3, 4, 1, 2, 3, 7, 1, 2, 3], 2) == [7, 1], "the latest counts"
    assert PromptLookup().draft([8, 9, 8, 9, 8], 3) == [9, 8, 9], "a repetition goes on"
    assert PromptLookup().draft([1, 2, 3], 3) == []


def test_look_up_turns_itself_down_where_it_misses() -> None:
    lookup, text = PromptLookup(), [1, 2, 3] * 4
    n_drafts = 0
    for _ in range(60):
        draft = lookup.draft(text, 4)
        n_drafts += bool(draft)
        lookup.learn(len(draft), 0)
    assert n_drafts < 10
    eager = PromptLookup()
    for _ in range(10):
        draft = eager.draft(text, 9)
        eager.learn(len(draft), len(draft))
    assert len(eager.draft(text, 9)) > 3
