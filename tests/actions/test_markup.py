import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.actions import Act, ActionSpec, Parameter, Piece, Rejected, ReplyParser, Say, parse_call, render_call
from npc.errors import InputError
from npc.world import Entity, Scene

GIVE = ActionSpec(
    "give",
    "Hand something over.",
    (
        Parameter("item", "object"),
        Parameter("to", "character", is_optional=True),
        Parameter("price", "number", minimum=0, maximum=99.5, is_optional=True),
        Parameter("words", "string", is_optional=True),
    ),
)
WAVE = ActionSpec("wave", "Wave.")
ACTIONS = (GIVE, WAVE)
SMITHY = Scene(objects=(Entity(id="sword"), Entity(id="hammer")), characters=(Entity(id="anna"),))


def parse(reply: str, *cuts: int) -> list[Piece]:
    """The pieces of a reply that streams in cut at these positions; adjacent text joined."""
    parser = ReplyParser(ACTIONS, SMITHY)
    edges = [0, *sorted(cuts), len(reply)]
    pieces = [piece for start, end in itertools.pairwise(edges) for piece in parser.push(reply[start:end])]
    joined: list[Piece] = []
    for piece in pieces + parser.flush():
        if isinstance(piece, Say) and joined and isinstance(joined[-1], Say):
            joined[-1] = Say(joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined


def test_text_and_calls_come_in_their_order() -> None:
    assert parse("Here. [give(item=sword, to=anna, price=2.50)] Mind the edge.") == [
        Say("Here."),
        Act("give", {"item": "sword", "to": "anna", "price": 2.5}),
        Say(" Mind the edge."),
    ]


def test_text_is_said_before_the_reply_is_over() -> None:
    parser = ReplyParser(ACTIONS, SMITHY)
    assert parser.push("Here. [gi") == [Say("Here.")]
    assert parser.push("ve(item=sword)] Mi") == [Act("give", {"item": "sword"}), Say(" Mi")]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("[fly()]", "no action 'fly'; have give, wave"),
        ("[give(item=crown)]", "'crown' is no object here; have sword, hammer"),
        ("[give(item=sword, to=bob)]", "'bob' is no character here; have anna, player"),
        ("[give()]", "needs item"),
        ("[give(to=anna, item=sword)]", "out of order"),
        ("[give(item=sword, item=sword)]", "stands twice"),
        ("[give(thing=sword)]", "no parameter 'thing'; have item, to, price, words"),
        ("[give(item=sword, price=100)]", "from 0 to 99.5, not '100'"),
        ("[give(item=sword, words=hello)]", '"plain text"'),
        ("[give(item=sword,to=anna)]", "parted by ', '"),
        ("[a note]", "write it as"),
    ],
)
def test_an_illegal_call_says_what_would_be_right(call: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_call(call, ACTIONS, SMITHY)
    assert caught.value.code == "bad-call"
    assert reason in str(caught.value)


def test_illegal_and_unfinished_calls_are_reported_and_not_spoken() -> None:
    pieces = parse("Well [fly()] yes [wave( [wave()] so [give(item=")
    assert [piece for piece in pieces if not isinstance(piece, Rejected)] == [
        Say("Well"),
        Say(" yes"),
        Act("wave", {}),
        Say(" so"),
    ]
    assert [piece.text for piece in pieces if isinstance(piece, Rejected)] == ["[fly()]", "[wave( ", "[give(item="]


def test_a_bracket_that_never_closes_does_not_grow() -> None:
    pieces = parse("[" + "x" * 5000 + "] Hello.")
    assert isinstance(pieces[0], Rejected)
    assert len(pieces[0].text) == 1000
    assert pieces[1:] == [Say("Hello.")]


def test_markdown_line_breaks_and_pictographs_are_not_spoken() -> None:
    assert parse(" **Aye**,\n\n\tgood `sir` 🙂 <|im_end|> ") == [Say("Aye, good sir im end")]


SCRAPS = ["[", "]", "[wave()]", "[give(item=sword)]", "[give(", "item=", " ", "\n", "Aye.", "*", "é", '"', "x" * 400]
scraps = st.lists(st.sampled_from(SCRAPS), max_size=12)


@given(scraps, st.lists(st.integers(0, 6000), max_size=8))
def test_cutting_the_stream_anywhere_gives_the_same_pieces(parts: list[str], cuts: list[int]) -> None:
    reply = "".join(parts)
    assert parse(reply, *(cut for cut in cuts if cut < len(reply))) == parse(reply)


@given(st.text(max_size=200))
def test_no_text_makes_a_bracket_or_a_line_break_heard(reply: str) -> None:
    for piece in parse(reply):
        if isinstance(piece, Say):
            assert not set(piece.text) & set("[]<>{}*`#\n\r")


@given(
    st.sampled_from(["sword", "hammer"]),
    st.none() | st.sampled_from(["anna", "player"]),
    st.none() | st.integers(0, 9950).map(lambda n: n / 100),
    st.none() | st.sampled_from(["Take care", "it's yours, friend!"]),
)
def test_a_call_written_out_reads_back_as_itself(
    item: str, to: str | None, price: float | None, words: str | None
) -> None:
    args = {"item": item, "to": to, "price": price, "words": words}
    given = {name: value for name, value in args.items() if value is not None}
    assert parse_call(render_call("give", given, ACTIONS), ACTIONS, SMITHY) == Act("give", given)
