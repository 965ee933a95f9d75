"""A performance as text: each thing below the word that it belongs to."""

import io

from npc.cli.lanes import COLUMN_MS, Lanes
from npc.events import (
    ActionCommitted,
    ActionEvent,
    EmotionEvent,
    FaceEvent,
    FeelingEvent,
    TimedViseme,
    TimedWord,
    WordsEvent,
)

RATE_HZ = 24_000


def at(ms: int) -> int:
    return ms * RATE_HZ // 1000


def performance() -> Lanes:
    lanes = Lanes(RATE_HZ)
    words = tuple(TimedWord(text=t, sample=at(ms), end_sample=at(ms + 400)) for t, ms in (("Mind", 0), ("it", 800)))
    lanes.add(WordsEvent(turn=1, sample=0, text="Mind it", words=words, phonemes=()))
    visemes = (TimedViseme(viseme="PP", sample=at(40), peak_sample=at(60), end_sample=at(100), weight=1),)
    lanes.add(FaceEvent(turn=1, sample=0, visemes=visemes))
    lanes.add(EmotionEvent(turn=1, sample=0, name="gruff", strength=1))
    lanes.add(ActionEvent(turn=1, sample=at(1200), id="1.1", name="wave", args={}))
    return lanes


def test_everything_stands_at_its_time() -> None:
    rows = {name: row for _, name, row in performance().lines(80)}
    assert rows["words"].index("it") == 800 // COLUMN_MS
    assert rows["mouth"].index("PP") == 40 // COLUMN_MS
    assert rows["does"].index("· wave()") == 1200 // COLUMN_MS
    assert rows["shows"] == "gruff"


def test_what_was_committed_is_marked_and_what_was_played_is_bright() -> None:
    from rich.console import Console

    lanes = performance()
    lanes.add(ActionCommitted(turn=1, id="1.1"))
    lanes.add(FeelingEvent(turn=1, mood=-4, arousal=0, regard=12))
    console = Console(width=60, record=True, file=io.StringIO(), force_terminal=True)
    console.print(lanes.render(at(500), 60))
    text = console.export_text()
    assert "▶ wave()" in text
    assert "mood -4" in text
    assert "regard +12" in text


def test_a_long_reply_goes_on_in_further_rows() -> None:
    lanes = Lanes(RATE_HZ)
    words = tuple(TimedWord(text="word", sample=at(400 * n), end_sample=at(400 * n + 300)) for n in range(40))
    lanes.add(WordsEvent(turn=1, sample=0, text="", words=words, phonemes=()))
    rows = lanes.lines(60)
    assert len(rows) > 5
    assert all(len(row) <= 53 for _, _, row in rows)
