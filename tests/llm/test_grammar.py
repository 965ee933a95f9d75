"""Only what the grammar allows is written, and what it forces costs no pass."""

import re
import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_llm import Bench
from torch import Tensor

from npc.errors import StageError
from npc.llm.grammar import GrammarCompiler
from npc.llm.model import Transformer
from npc.llm.runner import Rows
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
@given(
    seed=st.integers(0, 10_000),
    speculates=st.booleans(),
    is_drafted=st.booleans(),
    prompt=st.binary(min_size=1, max_size=40),
)
def test_only_legal_replies_are_written(
    bench: MakeBench, near_draft: Transformer, seed: int, speculates: bool, is_drafted: bool, prompt: bytes
) -> None:
    one = bench(draft_model=near_draft if is_drafted else None)
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


def test_masks_are_computed_while_the_network_runs(bench: MakeBench, tiny_grammars: GrammarCompiler) -> None:
    one, has_run = bench(), threading.Event()
    request = one.ask([1, 2], Sampling(temperature=0, max_tokens=3), "start: /[a-c]{9}/")
    run = one.engine.runner.run

    def run_and_tell(rows: Sequence[Rows]) -> list[Tensor | None]:
        has_run.set()
        return run(rows)

    one.engine.runner.run = run_and_tell  # type: ignore[method-assign]  # to see when it runs
    waited = tiny_grammars._pool.submit(has_run.wait, 20)  # whoever wanted a mask first would wait here
    one.engine.step()
    assert waited.result() is True
    assert len(request.tokens) == 1


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_grammar_drafts_jumps_and_company_change_nothing(
    bench: MakeBench, near_draft: Transformer, temperature: float
) -> None:
    """All at once, beside replies that have a grammar and no drafts: each as when made plainly and alone."""
    shared = bench(draft_model=near_draft)
    asked = []
    for seed in range(6):
        sampling = Sampling(temperature=temperature, top_p=0.9, max_tokens=60, seed=seed)
        prompt = [seed, *b"well [walk_to(place=well)] then [give(item=sword, to=player)]"]
        grammar = None if seed == 5 else CALLS
        asked.append((prompt, sampling, grammar, shared.ask(prompt, sampling, grammar, speculates=seed % 3 != 0)))
    shared.finish()
    for prompt, sampling, grammar, request in asked:
        plain = bench()
        expected = plain.ask(prompt, sampling, grammar)
        plain.finish()
        assert request.tokens == expected.tokens
    assert any(request.sequence.n_accepted for _, _, _, request in asked)


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
