"""What is made of spoken turns: when a reply is heard, what it waited for, and figures over many."""

import numpy as np
import pytest

from npc.events import SpanReport, Speculation, TurnMetrics
from npc.profile.turns import PlayedTurn, audible_ms, critical_path, median_turn, summarise_turns
from npc.profile.turns_page import page

RATE = 1000
QUIET, LOUD = np.zeros(100, np.float32), np.full(100, 0.1, np.float32)


def metrics(endpoint_ms: float, tts_ms: float, n_thrown_away: int = 0) -> TurnMetrics:
    spans = {"vad": (0, 80), "endpoint": (0, endpoint_ms), "asr": (80, 180), "tts": (300, tts_ms)}
    return TurnMetrics(
        turn=1,
        voice_to_voice_ms=max(endpoint_ms, tts_ms),
        spans=tuple(SpanReport(name=name, start_ms=a, end_ms=b) for name, (a, b) in spans.items()),
        speculation=Speculation(
            n_thrown_away=n_thrown_away,
            n_tokens_thrown_away=8,
            audio_ms_thrown_away=0,
            saved_ms=100.0,
            n_begun=n_thrown_away + 1,
            is_hit=True,
        ),
    )


def answered(ms: float, told: TurnMetrics | None = None) -> PlayedTurn:
    return PlayedTurn("flite rms", -20.0, "How much is it?", 1, False, "", ms - 20, ms, told)


CUT_OFF = PlayedTurn("people", -60.0, "I want | a sword.", 1, True)
MISSED = PlayedTurn("people", -60.0, "Yes.", 0)


def test_silence_before_the_voice_counts_as_waiting() -> None:
    assert audible_ms([(500.0, np.concatenate((QUIET, LOUD)))], RATE) == 600.0


def test_a_part_that_comes_while_another_plays_is_heard_behind_it() -> None:
    assert audible_ms([(500.0, QUIET), (510.0, LOUD)], RATE) == 600.0


def test_a_part_that_comes_late_is_heard_when_it_comes() -> None:
    assert audible_ms([(500.0, QUIET), (900.0, LOUD)], RATE) == 900.0


def test_a_reply_of_silence_is_never_heard() -> None:
    assert audible_ms([(500.0, QUIET)], RATE) is None


def test_a_reply_that_was_ready_waited_for_the_end_of_the_turn_alone() -> None:
    path = critical_path(answered(640, metrics(endpoint_ms=600, tts_ms=400)))
    assert path == [("endpoint", 600.0), ("audio_out", 20.0), ("silence", 20.0)]


@pytest.mark.parametrize("endpoint_ms", [90, 300])
def test_a_reply_that_was_late_waited_for_its_stages_and_they_add_up(endpoint_ms: float) -> None:
    path = critical_path(answered(540, metrics(endpoint_ms, tts_ms=500)))
    assert [name for name, _ in path] == ["vad", "asr", "tts", "audio_out", "silence"]
    assert sum(ms for _, ms in path) == 540


def test_cut_off_and_missed_turns_are_counted_and_do_not_wait() -> None:
    summary = summarise_turns([answered(400), answered(600), CUT_OFF, MISSED])
    assert (summary["n_cut_off"], summary["cut_off_percent"], summary["n_missed"]) == (1, 25.0, 1)
    assert summary["voice_to_voice_ms"]["p50"] == 500
    assert summary["by_group"]["people"] == {"n_turns": 2, "n_cut_off": 1, "n_missed": 1, "p50_ms": None}


def test_replies_begun_in_vain_are_misses() -> None:
    summary = summarise_turns([answered(400, metrics(300, 350)), answered(500, metrics(300, 350, n_thrown_away=2))])
    assert summary["speculation"]["n_misses"] == 2
    assert summary["speculation"]["hit_percent"] == 50.0
    assert summary["speculation"]["tokens_thrown_away_per_turn"] == 8


def test_turns_that_speculation_gave_way_in_are_neither_hits_nor_misses() -> None:
    gave_way = Speculation(n_thrown_away=1, n_tokens_thrown_away=0, audio_ms_thrown_away=0, saved_ms=0.0)
    alone = answered(500, metrics(300, 350).model_copy(update={"speculation": gave_way}))
    ahead = summarise_turns([answered(400, metrics(300, 350)), alone])["speculation"]
    assert (ahead["turns_percent"], ahead["n_hits"], ahead["n_misses"], ahead["hit_percent"]) == (50.0, 1, 0, 100.0)
    assert summarise_turns([alone])["speculation"]["hit_percent"] is None


def test_what_the_server_could_not_do_is_counted_by_its_code() -> None:
    refused = PlayedTurn("people", -60.0, "Yes.", 0, errors=("overloaded",))
    assert summarise_turns([refused, MISSED, refused])["errors"] == {"overloaded": 2}


def test_the_median_turn_is_one_that_tells_where_its_time_went() -> None:
    turns = [answered(100), answered(900, metrics(300, 800)), answered(400, metrics(300, 350)), CUT_OFF]
    median = median_turn(turns)
    assert median is not None
    assert median.voice_to_voice_ms == 900
    assert median_turn([CUT_OFF]) is None


def test_the_page_stands_by_itself_and_escapes_what_was_said() -> None:
    pytest.importorskip("plotly")
    turn = PlayedTurn("flite rms", -20.0, "a <b> c", 0, False, "", 380, 400, metrics(300, 350))
    html = page({"as set": summarise_turns([turn])}, turn, critical_path(turn))
    assert "a &lt;b&gt; c" in html
    assert "Plotly.newPlot" in html
    assert 'src="http' not in html
