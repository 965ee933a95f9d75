"""The step loop: replies in company are the replies made alone, and nobody waits for ever."""

import random
from collections.abc import Callable

import pytest
from tiny_llm import Bench, Request

from npc.errors import OverloadError, StageError
from npc.llm.model import Transformer
from npc.llm.scheduler import Limits
from npc.turn import GenerationEnd, Sampling, TextPiece

MakeBench = Callable[..., Bench]
SMALL = Limits(n_running=5, chunk=24, chunk_beside_replies=8, least_chunk=4)


LETTERS = 'start: (/[a-f ]{1,6}/ | "[walk_to(place=" ("well" | "forge") ")]")+'


def alone(bench: MakeBench, prompt: list[int], sampling: Sampling, grammar: str | None = None) -> Request:
    one = bench()
    request = one.ask(prompt, sampling, grammar)
    one.finish()
    return request


@pytest.mark.parametrize("seed", range(4))
def test_replies_that_come_and_go_at_random_are_those_made_alone(
    bench: MakeBench, near_draft: Transformer, seed: int
) -> None:
    chance = random.Random(seed)
    beginnings = [[chance.randrange(256) for _ in range(40)] for _ in range(3)]
    # So few pages that some wait and some prefixes are evicted.
    shared = bench(n_pages=40, limits=SMALL, draft_model=near_draft if seed % 2 else None)
    requests: list[tuple[Request, str | None, bool]] = []
    for _ in range(30):
        prompt = chance.choice(beginnings)[: chance.randint(1, 40)] + [
            chance.randrange(256) for _ in range(chance.randint(1, 30))
        ]
        sampling = Sampling(
            temperature=0, repetition_penalty=chance.choice((1.0, 1.2)), max_tokens=chance.randint(1, 25)
        )
        grammar = LETTERS if chance.random() < 0.3 else None
        if chance.random() < 0.2:
            shared.ask(prompt, Sampling(max_tokens=0))  # read ahead of need
        request = shared.ask(prompt, sampling, grammar, speculates=chance.random() < 0.5)
        requests.append((request, grammar, chance.random() < 0.2))
        for _ in range(chance.randint(0, 6)):
            shared.engine.step()
        for each, _, leaves_early in requests:
            if leaves_early and chance.random() < 0.3:
                each.sequence.is_cancelled = True
    shared.finish()
    for request, grammar, _ in requests:
        prompt = request.sequence.tokens[: request.sequence.n_prompt]
        sampling = request.sequence.sampler.sampling
        expected = alone(bench, prompt, sampling, grammar)
        if request.end is not None:
            assert request.tokens == expected.tokens
            assert request.text == expected.text
        else:
            assert request.sequence.is_cancelled
            assert request.tokens == expected.tokens[: len(request.tokens)]
    assert shared.engine.pages.n_available == shared.engine.pages.n_pages, "all pages can be had again"


def test_a_beginning_that_was_read_before_is_not_read_again(bench: MakeBench) -> None:
    one = bench()
    prompt = list(range(100))
    first = one.ask(prompt)
    one.finish()
    again = one.ask([*prompt, 7, 8, 9])
    one.finish()
    assert first.end is not None
    assert first.end.n_cached_tokens == 0
    assert again.end is not None
    assert again.end.n_cached_tokens == 100
    assert again.tokens == alone(bench, [*prompt, 7, 8, 9], Sampling(0, repetition_penalty=1.0, max_tokens=20)).tokens


def test_reading_ahead_makes_a_prompt_ready(bench: MakeBench) -> None:
    one = bench()
    ahead = one.ask(list(range(90)), Sampling(max_tokens=0))
    one.finish()
    assert ahead.outputs == [ahead.end]
    assert ahead.end is not None
    assert ahead.end.n_generated_tokens == 0
    again = one.ask(list(range(90)), Sampling(max_tokens=0))
    one.finish()
    assert again.end is not None
    assert again.end.n_cached_tokens == 90


def test_a_prompt_that_branches_inside_a_page_does_not_spoil_the_other(bench: MakeBench) -> None:
    one = bench()
    stem = list(range(21))
    requests = [one.ask(stem + tail) for tail in ([1, 1], [2, 2], [1, 2])]
    one.finish()
    requests += [one.ask(stem + tail) for tail in ([1, 1], [2, 2], [1, 2])]
    one.finish()
    for request in requests:
        prompt = request.sequence.tokens[: request.sequence.n_prompt]
        assert request.tokens == alone(bench, prompt, Sampling(0, repetition_penalty=1.0, max_tokens=20)).tokens


def test_a_reply_that_is_thrown_away_leaves_its_prompt_behind_and_takes_nothing(bench: MakeBench) -> None:
    """As when a player goes on after a pause: what was begun is dropped, and the longer question asked."""
    one = bench()
    said = list(range(70))
    early = one.ask([*said, 1, 2])
    for _ in range(6):
        one.engine.step()
    n_before = one.engine.pages.n_available
    early.sequence.is_cancelled = True
    again = one.ask([*said, 3, 4, 5])
    one.finish()
    assert again.end is not None
    assert again.end.n_cached_tokens == 70
    assert again.tokens == alone(bench, [*said, 3, 4, 5], Sampling(0, repetition_penalty=1.0, max_tokens=20)).tokens
    assert n_before < one.engine.pages.n_available == one.engine.pages.n_pages


def test_with_an_int8_cache_replies_in_company_are_those_made_alone(bench: MakeBench) -> None:
    prompts = [[index, *range(30 + 5 * index)] for index in range(4)]
    shared = bench(cache_type="int8")
    requests = [shared.ask(prompt) for prompt in prompts for _ in range(2)]
    shared.finish()
    for request in requests:
        one = bench(cache_type="int8")
        expected = one.ask(request.sequence.tokens[: request.sequence.n_prompt])
        one.finish()
        assert request.tokens == expected.tokens


def test_leaving_stops_the_work_before_the_next_step(bench: MakeBench) -> None:
    one = bench()
    request = one.ask([1, 2, 3], Sampling(temperature=0, max_tokens=200))
    for _ in range(4):
        one.engine.step()
    n_written = len(request.tokens)
    request.sequence.is_cancelled = True
    one.engine.step()
    assert len(request.tokens) == n_written
    assert one.engine.is_idle
    assert one.engine.pages.n_available == one.engine.pages.n_pages


def test_a_long_prompt_does_not_hold_up_a_reply(bench: MakeBench) -> None:
    one = bench(limits=SMALL)
    speaking = one.ask([1, 2, 3], Sampling(temperature=0, max_tokens=100))
    one.engine.step()
    one.ask([5] * 300)
    for _ in range(10):
        n_before = len(speaking.tokens)
        one.engine.step()
        assert len(speaking.tokens) == n_before + 1


def test_a_short_prompt_overtakes_a_long_one(bench: MakeBench) -> None:
    one = bench(limits=SMALL)
    long = one.ask([5] * 300)
    short = one.ask([6] * 10)
    while not short.outputs:
        one.engine.step()
    assert not long.outputs


def test_reading_ahead_moves_on_while_others_speak(bench: MakeBench) -> None:
    one = bench(limits=SMALL)
    speaking = one.ask([1], Sampling(temperature=0, max_tokens=300))
    one.engine.step()
    ahead = one.ask([7] * 60, Sampling(max_tokens=0))
    while ahead.end is None:
        one.engine.step()
    assert speaking.end is None


def test_who_finds_no_room_waits_until_there_is_some(bench: MakeBench) -> None:
    one = bench(n_pages=4)
    requests = [one.ask([index] * 30, Sampling(temperature=0, max_tokens=30)) for index in range(5)]
    one.finish()
    assert all(request.end is not None for request in requests)


def test_what_could_never_fit_is_refused(bench: MakeBench) -> None:
    with pytest.raises(StageError, match="do not fit the cache of 64"):
        bench(n_pages=4).ask([1] * 60, Sampling(max_tokens=30))


def test_too_many_at_once_are_refused(bench: MakeBench) -> None:
    one = bench(limits=Limits(n_waiting=3))
    for _ in range(3):
        one.ask([1])
    with pytest.raises(OverloadError):
        one.ask([1])


def test_pieces_hold_back_what_may_become_a_stop_string(bench: MakeBench) -> None:
    one = bench()
    free = one.ask([10, 20, 30], Sampling(temperature=0, repetition_penalty=1.3, max_tokens=60))
    one.finish()
    stop = next(free.text[at : at + 3] for at in range(8, len(free.text)) if free.text.isascii() or True)
    request = one.ask([10, 20, 30], Sampling(temperature=0, repetition_penalty=1.3, max_tokens=60, stop=(stop,)))
    one.finish()
    assert request.text == free.text[: free.text.index(stop)]
    assert request.end is not None
    assert request.end.reason == "stop"


def test_the_end_comes_last_once_and_counts(bench: MakeBench) -> None:
    one = bench()
    request = one.ask([3, 4, 5], Sampling(temperature=0, max_tokens=9))
    one.finish()
    *pieces, end = request.outputs
    assert all(isinstance(piece, TextPiece) for piece in pieces)
    assert isinstance(end, GenerationEnd)
    assert (end.reason, end.n_generated_tokens, end.n_prompt_tokens) == ("length", 9, 3)


def test_the_end_token_ends_the_reply_and_is_not_written(bench: MakeBench) -> None:
    one = bench()
    free = one.ask([3, 4, 5])
    one.finish()
    token = free.tokens[4]
    ends = bench(eos_ids=(token,))
    request = ends.ask([3, 4, 5])
    ends.finish()
    assert request.tokens == free.tokens[: free.tokens.index(token)]
    assert request.end is not None
    assert request.end.reason == "stop"


def test_a_step_that_fails_ends_what_runs_and_nothing_after(bench: MakeBench) -> None:
    one = bench()
    request = one.ask([1, 2, 3])
    one.engine.step()
    one.engine.fail(StageError("language model", "broken"))
    assert isinstance(request.error, StageError)
    later = one.ask([1, 2, 3])
    one.finish()
    assert later.end is not None
