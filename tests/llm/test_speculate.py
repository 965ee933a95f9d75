"""Drafted replies are the plain ones: token for token with a seed, and as a distribution without."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from scipy.stats import chi2_contingency
from tiny_llm import Bench, Request

from npc.llm.speculate import PromptLookup
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
