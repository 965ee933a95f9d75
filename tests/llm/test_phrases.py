"""Drafts from what a model likes to say: the same reply in fewer passes, and none where none would pay."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_llm import Bench, Request

from npc.errors import ModelError
from npc.llm.phrases import Phrases, Recall, Trust
from npc.train.phrases import learn, share_guessed
from npc.turn import Sampling

MakeBench = Callable[..., Bench]
EOS = 258


def recall(phrases: Phrases, n_prompt: int, row_cost: float = 0.1) -> Recall:
    return Recall(phrases, n_prompt, frozenset({EOS}), (Trust(), Trust()), row_cost)


def ask(
    bench: Bench, prompt: list[int], sampling: Sampling, phrases: Phrases | None = None, grammar: str | None = None
) -> Request:
    request = bench.ask(prompt, sampling, grammar)
    if phrases is not None:
        request.sequence.lookup = recall(phrases, len(prompt))
    bench.finish()
    return request


@pytest.mark.parametrize("temperature", [0, 0.3, 1.0])
@pytest.mark.parametrize("grammar", [None, "start: /[a-p ]+/"])
def test_a_reply_drafted_from_phrases_is_the_plain_one(
    bench: MakeBench, temperature: float, grammar: str | None
) -> None:
    def sampling(seed: int) -> Sampling:
        return Sampling(temperature=temperature, top_p=0.9, repetition_penalty=1.1, max_tokens=30, seed=seed)

    prompts = [[random.Random(seed).randrange(256) for _ in range(20)] for seed in range(5)]
    plain = [ask(bench(), prompt, sampling(n), grammar=grammar).tokens for n, prompt in enumerate(prompts)]
    # Half of what is said is known, so that some drafts are right and some are wrong.
    phrases = learn([[*reply, EOS] for reply in plain[::2]] * 3)
    n_accepted = n_drafted = 0
    for n, prompt in enumerate(prompts):
        drafted = ask(bench(), prompt, sampling(n), phrases, grammar)
        assert drafted.tokens == plain[n]
        n_accepted += drafted.sequence.n_accepted
        n_drafted += drafted.sequence.n_drafted
    assert 30 < n_accepted < n_drafted


def test_many_replies_are_drafted_from_phrases_together(bench: MakeBench) -> None:
    sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=30)
    prompts = [[index, *range(20 + index)] for index in range(5)]
    plain = [ask(bench(), prompt, sampling).tokens for prompt in prompts]
    phrases = learn([[*reply, EOS] for reply in plain] * 3)
    together = bench()
    requests = [together.ask(prompt, sampling) for prompt in prompts]
    for request, prompt in zip(requests, prompts, strict=True):
        request.sequence.lookup = recall(phrases, len(prompt))
    together.finish()
    assert [request.tokens for request in requests] == plain
    assert all(request.sequence.n_accepted for request in requests)
    assert together.engine.pages.n_available == together.engine.pages.n_pages


def test_the_longest_phrase_that_is_known_speaks() -> None:
    phrases = learn([[1, 2, 3, EOS]] * 9 + [[7, 2, 4, EOS]] * 4)
    assert phrases.following([5, 2])[0] == 3
    assert phrases.following([7, 2])[0] == 4
    assert phrases.following([7, 2, 4])[0] == EOS
    token, chance = phrases.following([])
    assert token == 1
    assert 0.5 < chance < 0.8
    assert phrases.following([99])[1] == 0
    assert share_guessed(phrases, [[1, 2, 3, EOS]]) == 1


def test_what_was_said_once_is_no_phrase() -> None:
    assert len(learn([[1, 2, 3, EOS]])) == 0


def test_drafts_end_where_they_would_not_pay() -> None:
    phrases = learn([[1, 2, 3, 4, EOS]] * 40 + [[1, 2, 3, 5, EOS]] * 40)
    prompt = [50, 51, 52]
    assert recall(phrases, 3, row_cost=0.3).draft([*prompt, 1], 7) == [2, 3]
    assert recall(phrases, 3, row_cost=0.02).draft([*prompt, 1], 7) in ([2, 3, 4], [2, 3, 5])
    assert recall(phrases, 3, row_cost=0.2).draft([*prompt, 1], 1) == [2]
    assert recall(phrases, 3, row_cost=1.5).draft([*prompt, 1], 7) == []


def test_what_the_prompt_says_is_copied_where_no_phrase_is_surer() -> None:
    phrases = learn([[1, 2, 3, EOS]] * 9)
    prompt = [20, 21, 22, 23, 24, 25, 9, 1, 2, 8]
    assert recall(phrases, 10).draft([*prompt, 20, 21], 3) == [22, 23, 24]
    assert recall(phrases, 10).draft([*prompt, 1], 3) == [2, 3], "the phrase is surer than the copy"


def test_who_is_always_wrong_is_asked_seldom_and_asked_again() -> None:
    phrases = learn([[1, 2, 3, 4, EOS]] * 40)
    one, n_drafts = recall(phrases, 1, row_cost=0.3), []
    for _ in range(400):
        drafts = one.draft([50, 1], 7)
        n_drafts.append(len(drafts))
        one.learn(len(drafts), 0)
    assert sum(n_drafts[:10]) > 5
    assert 0 < sum(n_drafts[-128:]) <= 8


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    phrases = learn([[1, 2, 3, EOS]] * 3)
    assert Phrases.read(tmp_path, 320) is None
    phrases.write(tmp_path)
    again = Phrases.read(tmp_path, 320)
    assert again is not None
    assert again.following([1]) == phrases.following([1])
    with pytest.raises(ModelError, match="token 258 is not among the model's 200"):
        Phrases.read(tmp_path, 200)
    (tmp_path / "phrases.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="npc train phrases"):
        Phrases.read(tmp_path, 320)


def test_an_empty_table_drafts_nothing() -> None:
    nothing = Phrases(np.zeros(0, np.uint64), np.zeros(0, np.int32), np.zeros(0, np.uint8))
    assert recall(nothing, 1).draft([1, 2], 5) == []
