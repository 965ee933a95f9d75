import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.tts.clauses import ClauseSplitter, wrap

# What replies are made of: words, and everything that makes cutting hard.
PIECES = [
    *[
        "the",
        "smith",
        "Mr.",
        "3.5",
        "1,250",
        "e.g.",
        "U.S.",
        "no.",
        "No.",
        "5",
        "...",
        "…",
        "—",
        "-",
        ",",
        ".",
        "!",
        "?",
    ],
    *['"', "“", "”", "'", " ", "  ", "\n", "J.", "well—maybe", "$9.99", "and", "😀", "(so", "it)", "word" * 30],
]
replies = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=80).map("".join) | st.lists(
    st.sampled_from(PIECES), max_size=80
).map(" ".join)


def cut(text: str) -> list[str]:
    splitter = ClauseSplitter()
    return [*splitter.push(text), *splitter.flush()]


@given(replies)
def test_clauses_join_to_the_reply(text: str) -> None:
    assert "".join(cut(text)) == text


@given(replies, st.lists(st.integers(1, 9), min_size=1))
def test_the_pieces_in_which_a_reply_arrives_do_not_change_its_clauses(text: str, sizes: list[int]) -> None:
    splitter, clauses, at = ClauseSplitter(), [], 0
    while at < len(text):
        size = sizes[len(clauses) % len(sizes)]
        clauses += splitter.push(text[at : at + size])
        at += size
    assert [*clauses, *splitter.flush()] == cut(text)


@given(replies)
def test_cuts_fall_between_words_only(text: str) -> None:
    for clause in cut(text)[:-1]:
        assert clause[-1].isspace() or clause[-1] == "—"
        assert any(c.isalnum() for c in clause)


@given(replies, st.integers(20, 200))
def test_wrapped_parts_join_and_fit(text: str, max_chars: int) -> None:
    parts = wrap(text, max_chars)
    assert "".join(parts) == text
    assert all(0 < len(part) <= max_chars for part in parts)


def test_a_sentence_is_a_clause() -> None:
    assert cut("Sit down by the fire. You look tired today. Eat something.") == [
        "Sit down by the fire. ",
        "You look tired today. ",
        "Eat something.",
    ]


def test_the_first_clause_ends_at_its_first_comma_and_later_ones_do_not() -> None:
    assert cut("Good morning, friend, what can I do for you, then?") == [
        "Good morning, ",
        "friend, what can I do for you, then?",
    ]


def test_a_dash_ends_a_first_clause() -> None:
    assert cut("My old friend — come in.")[0] == "My old friend — "
    assert cut("My old friend—come in.")[0] == "My old friend—"


def test_a_first_clause_without_a_comma_is_cut_before_a_linking_word() -> None:
    assert cut("I used to work here at the forge with my father and his brother")[0] == "I used to work here "


def test_the_first_clause_leaves_before_the_sentence_is_over() -> None:
    splitter, words = ClauseSplitter(), ["Good", "morning,", "friend,", "what", "can", "I", "do?"]
    n_pushed = next(n for n, word in enumerate(words, 1) if splitter.push(word + " "))
    assert n_pushed == 3  # the word behind the comma shows that the comma is one


@pytest.mark.parametrize(
    "text",
    [
        "It costs 3.5 coins.",
        "It costs 1,250 coins.",
        "Ask Mr. Smith.",
        "Ask J. K. Miller.",
        "Take e.g. Barley.",
        "See no. 5 there.",
        "Wait . . . what?",
        "Yes ... no?",
        'He said "Go. Now. Run." to me.',
        "He said “Go. Now. Run.” to me.",
    ],
)
def test_what_belongs_together_is_not_cut(text: str) -> None:
    clauses = cut(f"Well then. {text} Then we shall go home together.")
    assert clauses[0] == "Well then. "
    assert any(text in clause for clause in clauses)


def test_no_at_the_end_of_a_sentence_is_no_abbreviation() -> None:
    assert cut("Oh no. Not again, I hope.")[0] == "Oh no. "


def test_short_sentences_go_with_the_next() -> None:
    assert cut("Well now. Yes. Yes. I have been waiting.") == ["Well now. ", "Yes. Yes. I have been waiting."]


def test_quotes_that_never_end_do_not_hold_a_reply_back() -> None:
    clauses = cut('He said "' + "word " * 100)
    assert max(len(clause.split()) for clause in clauses) < 40


def test_a_new_line_ends_a_sentence() -> None:
    assert cut("Bread and butter\nCheese and wine")[0] == "Bread and butter\n"


def test_a_splitter_starts_afresh_after_a_flush() -> None:
    splitter = ClauseSplitter()
    assert [*splitter.push("Good day, sir."), *splitter.flush()] == ["Good day, ", "sir."]
    assert [*splitter.push("Good day, sir."), *splitter.flush()] == ["Good day, ", "sir."]
