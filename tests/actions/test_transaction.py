import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc.actions.transaction import ActionLedger, ActionRecord, Closed, Committed, Step, Stopped
from npc.errors import InputError
from npc.turn import ActionCall


def proposed(ledger: ActionLedger, action_id: str, sample: int = 0, turn: int = 1, **options: bool) -> ActionRecord:
    call = ActionCall(action_id, "walk_to", {"place": "well"})
    return ledger.propose(call, "[walk_to(place=well)]", turn, sample, **options)


def told(steps: list[Step]) -> list[str]:
    """`commit 1`, `done 2`: what happened, in order."""
    words = {Committed: "commit", Stopped: "stop"}
    return [f"{words.get(type(step)) or step.action.phase} {step.action.id}" for step in steps]


def test_playback_commits_what_it_reaches_in_order_and_once() -> None:
    ledger = ActionLedger()
    for action_id, sample in (("a", 0), ("b", 100), ("c", 200)):
        proposed(ledger, action_id, sample)
    assert told(ledger.advance(1, 150, 0)) == ["commit a", "commit b"]
    assert told(ledger.advance(1, 150, 1)) == []
    assert told(ledger.advance(1, 90, 2)) == []
    assert told(ledger.advance(1, 200, 3)) == ["commit c"]


def test_a_barge_in_cancels_what_was_not_reached_and_leaves_what_was_begun() -> None:
    ledger = ActionLedger()
    proposed(ledger, "a", 0)
    proposed(ledger, "b", 100)
    ledger.advance(1, 50, 0)
    assert told(ledger.cancel(1, "the player spoke", 1)) == ["cancelled b"]
    assert told(ledger.advance(1, 1000, 2)) == []
    assert [action.id for action in ledger.unanswered()] == ["a"]


def test_actions_in_sequence_wait_for_each_other_and_parallel_ones_for_nobody() -> None:
    ledger = ActionLedger()
    proposed(ledger, "walk", is_parallel=False)
    proposed(ledger, "wave", is_parallel=True)
    proposed(ledger, "give", is_parallel=False)
    assert told(ledger.advance(1, 0, 0)) == ["commit walk", "commit wave"]
    assert told(ledger.close("wave", "done", "", 1)) == ["done wave"]
    assert told(ledger.close("walk", "done", "", 2)) == ["done walk", "commit give"]


def test_the_next_turn_does_not_wait_for_an_action_of_the_last() -> None:
    ledger = ActionLedger()
    proposed(ledger, "walk", turn=1, is_parallel=False)
    ledger.advance(1, 0, 0)
    proposed(ledger, "stop", turn=2, is_parallel=False)
    assert told(ledger.advance(2, 0, 1)) == ["commit stop"]


def test_a_result_is_taken_once_and_its_repetition_is_no_error() -> None:
    ledger = ActionLedger()
    proposed(ledger, "a")
    ledger.advance(1, 0, 0)
    assert told(ledger.close("a", "failed", "locked", 1)) == ["failed a"]
    assert ledger["a"].reason == "locked"
    assert ledger.close("a", "failed", "locked", 2) == []
    with pytest.raises(InputError, match="has the result 'failed'") as caught:
        ledger.close("a", "done", "", 3)
    assert caught.value.code == "action-over"


def test_a_result_that_nobody_waits_for_says_what_is_open() -> None:
    ledger = ActionLedger()
    proposed(ledger, "1.1")
    with pytest.raises(InputError, match=r"no action '9\.9' in this session; open are: 1\.1") as caught:
        ledger.close("9.9", "done", "", 0)
    assert caught.value.code == "unknown-action"


def test_a_result_after_a_cancel_or_a_time_out_comes_too_late() -> None:
    ledger = ActionLedger()
    proposed(ledger, "a")
    proposed(ledger, "b", 10)
    ledger.advance(1, 0, 0)
    ledger.cancel(1, "", 0)
    assert told(ledger.expire(ledger["a"].timeout_ms)) == ["timed-out a"]
    for action_id, ending in (("a", "timed out"), ("b", "was cancelled")):
        with pytest.raises(InputError, match=ending):
            ledger.close(action_id, "done", "", 1)


def test_a_result_ahead_of_the_playback_report_is_the_games_word_that_it_got_there() -> None:
    ledger = ActionLedger()
    for action_id in "abc":
        proposed(ledger, action_id, 500)
    assert told(ledger.close("a", "done", "", 0)) == ["commit a", "done a"]
    assert told(ledger.close("b", "refused", "no", 0)) == ["refused b"]
    assert told(ledger.report("c", 0.5, 0)) == ["commit c"]
    assert told(ledger.advance(1, 500, 1)) == []


def test_progress_never_goes_back_and_keeps_a_long_action_alive() -> None:
    ledger = ActionLedger()
    proposed(ledger, "a")
    ledger.advance(1, 0, 0)
    ledger.report("a", 0.6, 20_000)
    ledger.report("a", 0.2, 25_000)
    assert ledger["a"].progress == 0.6
    assert ledger.expire(54_999) == []
    assert ledger.next_deadline_ms() == 55_000
    assert told(ledger.expire(55_000)) == ["timed-out a"]


def test_a_begun_action_is_asked_to_stop_and_still_answers() -> None:
    ledger = ActionLedger()
    for action_id, sample in (("a", 0), ("b", 0), ("c", 9)):
        proposed(ledger, action_id, sample)
    ledger.advance(1, 0, 0)
    assert told(ledger.stop("a", "wait", 1)) == ["stop a"]
    assert ledger.stop("a", "wait", 2) == []
    assert told(ledger.close("a", "failed", "stopped halfway", 3)) == ["failed a"]
    ledger.stop("b", "wait", 4)
    assert told(ledger.expire(40_000)) == ["cancelled b"]
    assert told(ledger.stop("c", "wait", 5)) == ["cancelled c"]


def test_an_awaited_action_is_waited_for_until_it_ends() -> None:
    ledger = ActionLedger()
    proposed(ledger, "a", is_awaited=True)
    assert [action.id for action in ledger.awaited(1)] == ["a"]
    ledger.close("a", "failed", "stuck", 0)
    assert ledger.awaited(1) == []


def test_an_id_is_used_once_and_open_actions_are_bounded() -> None:
    ledger = ActionLedger()
    proposed(ledger, "a")
    with pytest.raises(InputError, match="used once"):
        proposed(ledger, "a")
    for n in range(63):
        proposed(ledger, f"b{n}")
    with pytest.raises(InputError, match="64 actions are open"):
        proposed(ledger, "one more")


def test_another_process_with_another_clock_goes_on_where_this_one_stood() -> None:
    ledger = ActionLedger()
    proposed(ledger, "a", is_awaited=True)
    proposed(ledger, "b", 100)
    ledger.advance(1, 0, now_ms=1_000)
    saved = json.loads(json.dumps(ledger.to_json(now_ms=11_000)))
    other = ActionLedger.from_json(saved, now_ms=500_000)
    assert [action.id for action in other.unanswered()] == ["a"]
    assert other["a"].deadline_ms == 520_000
    assert told(other.advance(1, 100, 500_001)) == ["commit b"]
    with pytest.raises(InputError, match="no ledger"):
        ActionLedger.from_json([{"id": 3}], 0)


N_SEEDS, N_EACH = 100, 100


@settings(max_examples=N_SEEDS, deadline=None)
@given(st.integers(0, 2**32))
def test_in_ten_thousand_interleavings_no_action_is_committed_twice_or_after_its_cancel(seed: int) -> None:
    for n in range(N_EACH):
        check_interleaving(random.Random(seed * N_EACH + n))


def check_interleaving(rng: random.Random) -> None:
    ledger, history, now_ms = ActionLedger(), [], 0.0
    ids: list[str] = []
    for _ in range(rng.randint(5, 25)):
        now_ms += rng.choice((0, 10, 400, 20_000, 31_000))
        turn = rng.randint(1, 2)
        known = rng.choice([*ids, "unknown"])
        try:
            match rng.choice("ppppaaaccssbrxj"):
                case "p":
                    action_id = rng.choice([f"{turn}.{len(ids)}", known])
                    flags = {"is_parallel": rng.random() < 0.5, "is_awaited": rng.random() < 0.3}
                    proposed(ledger, action_id, rng.randint(0, 300), turn, **flags)
                    ids.append(action_id)
                case "a":
                    history += ledger.advance(turn, rng.randint(0, 300), now_ms)
                case "c":
                    history += ledger.close(known, rng.choice(("done", "failed", "refused")), "", now_ms)
                case "s":
                    history += ledger.stop(known, "", now_ms)
                case "b":  # a barge-in
                    history += ledger.cancel(turn, "", now_ms)
                case "r":
                    history += ledger.report(known, rng.random(), now_ms)
                case "x":
                    history += ledger.expire(now_ms)
                case "j":  # the connection is lost; another process takes over, its clock elsewhere
                    saved = json.dumps(ledger.to_json(now_ms))
                    now_ms = rng.random() * 1e6
                    ledger = ActionLedger.from_json(json.loads(saved), now_ms)
        except InputError:
            pass  # unknown, over, taken: refused without a step
    for action_id in ids:
        own = [type(step) for step in history if step.action.id == action_id]
        assert own.count(Committed) <= 1
        assert own.count(Closed) <= 1
        assert Closed not in own[:-1], "nothing follows the end"
        if not ledger[action_id].is_open:
            assert own[-1] is Closed
