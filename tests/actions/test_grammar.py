import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from npc.actions import Act, ActionSpec, Parameter, Rejected, ReplyParser, Say, compile_reply_grammar, parse_call
from npc.actions.grammar import Choice
from npc.actions.number import number_pattern
from npc.errors import InputError
from npc.world import Entity, Scene

BYTES = LLTokenizer("byte")

WALK = ActionSpec("walk_to", "Walk to a place.", (Parameter("place", "place"),))
WAVE = ActionSpec("wave", "Wave.")
GIVE = ActionSpec(
    "give",
    "Hand something over.",
    (
        Parameter("item", "object"),
        Parameter("to", "character", is_optional=True),
        Parameter("price", "number", minimum=-3.5, maximum=120.25, is_optional=True),
    ),
)
WRITE = ActionSpec(
    "write",
    "Write a note.",
    (
        Parameter("text", "string", is_optional=True),
        Parameter("ink", "enum", choices=("black", "dark-red"), is_optional=True),
        Parameter("copies", "number", minimum=3, maximum=1200, is_integer=True),
    ),
)
ACTIONS = (WALK, WAVE, GIVE, WRITE)
VILLAGE = Scene(
    places=(Entity(id="well"), Entity(id="well_2")),
    objects=(Entity(id="sword"), Entity(id="2.shield-old")),
    characters=(Entity(id="anna"),),
)


def is_allowed(
    reply: str, choice: Choice = "auto", actions: tuple[ActionSpec, ...] = ACTIONS, scene: Scene = VILLAGE
) -> bool:
    return matches(compile_reply_grammar(actions, scene, choice).lark, reply)


def matches(lark: str, text: str) -> bool:
    matcher = LLMatcher(BYTES, lark)
    assert not matcher.is_error(), matcher.get_error()
    ids = list(text.encode())
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


@pytest.mark.parametrize(
    "reply",
    [
        "Hello.",
        "“Aye,” I said.",
        "Aye. [walk_to(place=well)]",
        "[walk_to(place=well_2)] Follow me. [give(item=2.shield-old, to=anna, price=-3.5)] Mind the step.",
        "[wave()][wave()]",
        "[give(item=sword, to=player)]",
        '[write(text="Two words: ok!", ink=dark-red, copies=1200)]',
        "[write(ink=black, copies=3)]",
        "日本語です。 [wave()]",
    ],
)
def test_words_and_legal_calls_may_be_mixed(reply: str) -> None:
    assert is_allowed(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " Hello.",
        "...",
        "Two  blanks",
        "A line\nbreak",
        "**bold**",
        "{json}",
        "<|im_end|>",
        "[fly()]",
        "[walk_to(place=castle)]",
        "[walk_to(place=wel)]",
        "[walk_to(place=sword)]",
        "[walk_to()]",
        "[give(to=anna, item=sword)]",
        "[give(item=sword, price=120.26)]",
        "[give(item=sword, price=-0)]",
        "[write(copies=3.0)]",
        "[write(copies=2)]",
        '[write(text="", copies=3)]',
        '[write(text="a]b", copies=3)]',
        "[walk_to(place=well)",
        "Brackets ] alone",
    ],
)
def test_nothing_else_can_be_written(reply: str) -> None:
    assert not is_allowed(reply)


def test_a_required_call_comes_once_and_after_one_short_sentence_at_most() -> None:
    for reply in ("[wave()] There.", "Aye. [wave()]", "Aye, I will! [wave()] Good day to you. And to all."):
        assert is_allowed(reply, "required")
    for reply in (
        "[wave()]",
        "Aye.",
        "Aye [wave()]",
        "Aye. I will. [wave()]",
        "[wave()] [wave()]",
        "word " * 15 + "end. [wave()]",
    ):
        assert not is_allowed(reply, "required")


def test_without_the_choice_to_act_there_are_only_words() -> None:
    assert is_allowed("Hello.", "none")
    assert not is_allowed("[wave()]", "none")


def test_an_action_with_nothing_to_target_is_left_out_and_an_optional_parameter_alone() -> None:
    empty = Scene()
    lend = ActionSpec("lend", "", (Parameter("item", "object", is_optional=True), Parameter("to", "character")))
    assert not is_allowed("[walk_to(place=well)]", scene=empty)
    assert is_allowed("[lend(to=player)]", actions=(WALK, lend), scene=empty)
    assert not is_allowed("[lend(item=sword, to=player)]", actions=(WALK, lend), scene=empty)
    assert is_allowed("Hello.", "required", actions=(WALK,), scene=empty)


def test_only_the_named_actions_are_left() -> None:
    grammar = compile_reply_grammar(ACTIONS, VILLAGE, "required", only={"wave"})
    assert matches(grammar.lark, "Hm. [wave()]")
    assert not matches(grammar.lark, "Hm. [walk_to(place=well)]")


def test_an_id_that_slipped_past_validation_is_refused() -> None:
    scene = Scene.model_construct(places=(Entity.model_construct(id='x" | /.*/ '),), objects=(), characters=())
    with pytest.raises(InputError, match="cannot be a target"):
        compile_reply_grammar((WALK,), scene)


def test_five_hundred_entities_compile_within_the_limits_of_the_matcher() -> None:
    scene = Scene(
        places=tuple(Entity(id=f"place_{n}") for n in range(170)),
        objects=tuple(Entity(id=f"thing-{n}") for n in range(170)),
        characters=tuple(Entity(id=f"who.{n}") for n in range(160)),
    )
    assert is_allowed("[walk_to(place=place_169)] [give(item=thing-7, to=who.159)]", scene=scene)
    assert not is_allowed("[walk_to(place=place_170)]", scene=scene)


bounds = st.integers(-150_000, 150_000)


@settings(max_examples=150, deadline=None)
@given(bounds, bounds, bounds, st.booleans())
def test_a_number_is_allowed_exactly_within_its_bounds(a: int, b: int, number: int, is_integer: bool) -> None:
    low, high = min(a, b) / 100, max(a, b) / 100
    pattern = number_pattern(low, high, is_integer)
    value = round(number / 100) if is_integer else number / 100
    if not pattern:
        return
    written = str(value) if is_integer else f"{value:.2f}".rstrip("0").rstrip(".")
    written = "0" if written == "-0" else written
    assert matches(f"start: NUMBER\nNUMBER: {pattern}\n", written) == (low <= float(written) <= high)


def legal_call(rng: random.Random) -> str:
    action = rng.choice(ACTIONS)
    given = []
    for parameter in action.parameters:
        if parameter.is_optional and rng.random() < 0.4:
            continue
        match parameter.kind:
            case "string":
                n_words = rng.randint(1, 6)
                words = (
                    "".join(rng.choices(string.ascii_letters + ".,!'é日", k=rng.randint(1, 8))) for _ in range(n_words)
                )
                value = f'"{" ".join(words)}"'
            case "number" if parameter.is_integer:
                value = str(rng.randint(int(parameter.minimum), int(parameter.maximum)))
            case "number":
                value = f"{rng.uniform(parameter.minimum, parameter.maximum):.{rng.randint(0, 2)}f}"
                value = "0" if float(value) == 0 else value
                if not parameter.minimum <= float(value) <= parameter.maximum:
                    value = "1"
            case _:
                value = rng.choice(parameter.targets(VILLAGE))
        given.append(f"{parameter.name}={value}")
    return f"[{action.name}({', '.join(given)})]"


def mutated(call: str, rng: random.Random) -> str:
    """One to three characters dropped, doubled, replaced or swapped."""
    letters = list(call)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(letters))
        match rng.randrange(4):
            case 0:
                letters[at : at + 1] = []
            case 1:
                letters.insert(at, letters[at])
            case 2:
                letters[at] = rng.choice(string.printable + "…é\u200b")
            case _:
                letters[at : at + 2] = reversed(letters[at : at + 2])
        letters = letters or ["x"]
    return "".join(letters)


def is_parsed(call: str) -> bool:
    try:
        parse_call(call, ACTIONS, VILLAGE)
    except InputError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_parser_and_grammar_accept_the_same_calls(seed: int) -> None:
    rng = random.Random(seed)
    lark = f"start: call\n{compile_reply_grammar(ACTIONS, VILLAGE).lark.partition(chr(10))[2]}"
    call = legal_call(rng)
    assert matches(lark, call)
    assert is_parsed(call)
    for _ in range(5):
        broken = mutated(call, rng)
        assert matches(lark, broken) == is_parsed(broken), broken


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_the_grammar_lets_through_is_spoken_and_done_in_full(seed: int) -> None:
    rng = random.Random(seed)
    matcher = LLMatcher(BYTES, compile_reply_grammar(ACTIONS, VILLAGE).lark)
    written = b""
    for _ in range(120):  # a model that writes any allowed byte, with a liking for brackets
        mask = matcher.compute_bitmask()
        allowed = [n for n in range(256) if mask[n // 8] >> (n % 8) & 1]
        if not allowed or (matcher.is_accepting() and rng.random() < 0.05):
            break
        likely = [n for n in allowed if n in b"[ eatoin)],"]
        byte = rng.choice(likely if likely and rng.random() < 0.7 else allowed)
        assert matcher.consume_token(byte)
        written += bytes([byte])
    if not matcher.is_accepting():
        return
    reply = written.decode()
    parser = ReplyParser(ACTIONS, VILLAGE)
    pieces = parser.push(reply) + parser.flush()
    assert not any(isinstance(piece, Rejected) for piece in pieces)
    n_calls = sum(isinstance(piece, Act) for piece in pieces)
    assert n_calls == reply.count("[")
    spoken = "".join(piece.text for piece in pieces if isinstance(piece, Say))
    outside, inside = "", False
    for letter in reply:
        inside = letter == "[" or (inside and letter != "]")
        outside += "" if inside or letter == "]" else letter
    assert spoken.replace(" ", "") == outside.replace(" ", "")
