"""Only what the grammar allows is written, and what it forces costs no pass."""

import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_llm import Bench

from npc.errors import StageError
from npc.turn import Sampling

MakeBench = Callable[..., Bench]
CALLS = """start: TEXT (call TEXT)*
TEXT: /[a-z ]{1,12}/
call: "[walk_to(place=" place ")]" | "[give(item=" item ", to=player)]"
place: "well" | "forge" | "old_mill"
item: "sword" | "shield"
"""
LEGAL = re.compile(
    r"[a-z ]{1,12}(\[(walk_to\(place=(well|forge|old_mill)|give\(item=(sword|shield), to=player)\)\][a-z ]{1,12})*"
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), speculates=st.booleans(), prompt=st.binary(min_size=1, max_size=40))
def test_only_legal_replies_are_written(bench: MakeBench, seed: int, speculates: bool, prompt: bytes) -> None:
    one = bench()
    sampling = Sampling(temperature=1.2, top_p=1.0, max_tokens=300, seed=seed)
    request = one.ask(list(b"[walk_to(place=well)] [give(item=sword") + list(prompt), sampling, CALLS, speculates)
    one.finish()
    assert request.end is not None
    if request.end.reason == "stop":
        assert LEGAL.fullmatch(request.text)
    else:  # cut off by the budget: a beginning of something legal
        assert re.fullmatch(r"[a-z ]{1,12}.*", request.text)


def test_several_grammars_and_none_share_a_batch(bench: MakeBench) -> None:
    one = bench()
    sampling = Sampling(temperature=1.0, max_tokens=40, seed=5)
    digits, letters = one.ask([1, 2], sampling, "start: /[0-9]{8}/"), one.ask([3, 4], sampling, "start: /[a-f]{8}/")
    free = one.ask([5, 6], sampling)
    one.finish()
    assert re.fullmatch("[0-9]{8}", digits.text)
    assert re.fullmatch("[a-f]{8}", letters.text)
    assert free.end is not None


def test_what_is_forced_is_written_without_a_pass(bench: MakeBench) -> None:
    one = bench()
    request = one.ask(
        [1], Sampling(temperature=1, max_tokens=80, seed=1), 'start: ("yes" | "no") ", the blacksmith said"'
    )
    one.finish()
    assert request.text in ("yes, the blacksmith said", "no, the blacksmith said")
    assert request.end is not None
    assert request.end.n_steps == 1, "the first letter decides"


def test_forced_tokens_stay_within_the_budget(bench: MakeBench) -> None:
    one = bench()
    request = one.ask([1], Sampling(temperature=1, max_tokens=6, seed=1), 'start: ("a" | "b") "cdefghijkl"')
    one.finish()
    assert len(request.tokens) == 6
    assert request.end is not None
    assert request.end.reason == "length"


def test_a_grammar_with_a_mistake_is_refused_with_the_reason(bench: MakeBench) -> None:
    with pytest.raises(StageError, match="nowhere"):
        bench().ask([1], grammar="start: nowhere")


def test_a_known_grammar_starts_afresh_for_every_reply(bench: MakeBench) -> None:
    one = bench()
    sampling = Sampling(temperature=1.0, max_tokens=40, seed=5)
    together = [one.ask([n, 2], sampling, "start: /[0-9]{8}/") for n in (1, 2)]
    one.finish()
    later = one.ask([9, 2], sampling, "start: /[0-9]{8}/")
    one.finish()
    assert all(re.fullmatch("[0-9]{8}", request.text) for request in (*together, later))
