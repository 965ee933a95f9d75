import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from npc.actions import Act, ActionSpec, Parameter, ReplyParser, compile_reply_grammar, parse_call
from npc.actions.conditions import Conditions
from npc.actions.declare import Action, Someone, Thing, read_actions, spec_of
from npc.actions.nominate import Nominator, Vectors
from npc.actions.requires import read_requires
from npc.errors import ConfigError, InputError
from npc.world import Being, Entity, Scene

BYTES = LLTokenizer("byte")
THING = Parameter("thing", "object")

OPEN = ActionSpec("open", "", (THING,), requires=read_requires({"near": "thing", "is_not": {"thing": "locked"}}))
CHOP = ActionSpec("chop", "", (THING,), requires=read_requires({"near": "target", "holding": "axe"}))
GIVE = ActionSpec("give", "", (THING, Parameter("to", "character")), requires=read_requires({"holding": "thing"}))
HUG = ActionSpec("hug", "", (Parameter("who", "character"),), requires=read_requires({"regard": ">= 20"}))
TAKE = ActionSpec("take", "", (THING,), requires=read_requires({"player_holding": "thing", "near": "player"}))
REST = ActionSpec("rest", "", requires=read_requires({"mood": "< 50", "is": {"npc": "tired", "fire": "lit"}}))
ACTIONS = (OPEN, CHOP, GIVE, HUG, TAKE, REST)

YARD = Scene(
    objects=(
        Entity(id="door", distance=2),
        Entity(id="gate", distance=2, state=(("locked", True),)),
        Entity(id="oak", distance=90),
        Entity(id="axe", held_by="npc"),
        Entity(id="coin", held_by="player"),
        Entity(id="fire", state=(("lit", True),)),
    ),
    characters=(Entity(id="anna"),),
    player=Being(distance=1),
    npc=Being(state=(("tired", True),)),
)


def can(call: str, scene: Scene = YARD, gauges: Mapping[str, float] | None = None) -> bool:
    """By the grammar and by the parser, which must agree."""
    gauges = gauges or {}
    matcher = LLMatcher(BYTES, compile_reply_grammar(ACTIONS, scene, gauges=gauges).lark)
    assert not matcher.is_error(), matcher.get_error()
    ids = list(call.encode())
    is_written = matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()
    (piece,) = ReplyParser(ACTIONS, scene, gauges).push(call)
    assert is_written == isinstance(piece, Act), piece
    return is_written


@pytest.mark.parametrize(
    "call",
    ["[open(thing=door)]", "[chop(thing=door)]", "[give(thing=axe, to=anna)]", "[take(thing=coin)]", "[rest()]"],
)
def test_what_is_required_and_so_can_be_done(call: str) -> None:
    assert can(call)


@pytest.mark.parametrize(
    "call",
    [
        "[open(thing=gate)]",  # locked
        "[open(thing=oak)]",  # far
        "[chop(thing=oak)]",
        "[give(thing=coin, to=anna)]",  # not held
        "[take(thing=axe)]",
        "[hug(who=player)]",  # a stranger
    ],
)
def test_what_is_required_and_is_not_so_cannot_be_written(call: str) -> None:
    assert not can(call)


def test_a_scene_that_changes_changes_what_can_be_done() -> None:
    without_axe = YARD.model_copy(update={"objects": tuple(e for e in YARD.objects if e.id != "axe")})
    assert not can("[chop(thing=door)]", without_axe)
    far = YARD.model_copy(update={"player": Being(distance=30)})
    assert not can("[take(thing=coin)]", far)


def test_regard_and_mood_open_and_close_actions() -> None:
    assert can("[hug(who=anna)]", gauges={"regard": 20})
    assert not can("[hug(who=anna)]", gauges={"regard": 19.9})
    assert not can("[rest()]", gauges={"mood": 50})


def test_what_is_missing_is_said_in_words() -> None:
    conditions = Conditions(Scene(objects=(Entity(id="log", near=True),)))
    reasons = [conditions.unmet(action) for action in ACTIONS]
    assert reasons == [
        None,
        "you do not hold axe",
        "there is no object for it here",
        "regard >= 20 is required and it is 0",
        "the player is not near",
        "you are not tired",
    ]
    with pytest.raises(InputError, match="chop cannot be done now: you do not hold axe"):
        parse_call("[chop(thing=log)]", ACTIONS, conditions.scene)
    with pytest.raises(InputError, match="'gate' cannot be meant by open now; have door, axe"):
        parse_call("[open(thing=gate)]", ACTIONS, YARD)


class Same:
    """Every phrasing of an action fits exactly itself."""

    async def embed(self, texts: Sequence[str], /) -> Vectors:
        vectors = np.zeros((len(texts), 64), np.float32)
        for n, text in enumerate(texts):
            vectors[n, zlib.crc32(text.strip(".!").encode()) % 64] = 1
        return vectors


async def test_a_request_that_cannot_be_granted_is_answered_in_words_that_say_why() -> None:
    gate = replace(OPEN, examples=("open the {thing}",), counter_examples=("who opened the {thing}?",))
    nominator = (await Nominator.build([gate], Same())).of((gate,))
    granted = await nominator.nominate("open the door", YARD)
    assert granted is not None
    assert (granted.names, granted.targets, granted.hindrance) == (("open",), {"object": ("door",)}, "")
    for thing, reason in (("gate", "gate is locked"), ("oak", "oak is not near")):
        refused = await nominator.nominate(f"open the {thing}", YARD)
        assert refused is not None
        assert (refused.names, refused.hindrance) == ((), reason)
        lark = compile_reply_grammar((gate,), YARD, "required", refused.names, refused.targets).lark
        assert "call" not in lark


entities = st.builds(
    Entity,
    id=st.sampled_from(["a", "b", "c", "d", "e", "axe"]),
    distance=st.none() | st.sampled_from([1.0, 50.0]),
    held_by=st.sampled_from([None, "npc", "player"]),
    state=st.sampled_from([(), (("locked", True),)]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(entities, max_size=5, unique_by=lambda entity: entity.id), st.floats(-100, 100))
def test_grammar_and_parser_agree_in_any_scene(objects: list[Entity], regard: float) -> None:
    scene = Scene(objects=tuple(objects), player=Being(distance=1))
    for name in ("open", "chop", "take"):
        for target in ("a", "axe"):
            can(f"[{name}(thing={target})]", scene, {"regard": regard})
    can("[hug(who=player)]", scene, {"regard": regard})


class Unlock(Action):
    """Unlock a thing."""

    requires: ClassVar[dict[str, object]] = {"near": "thing", "holding": ["key", "lamp"], "regard": ">= 10"}
    awaited = True
    parallel = False
    timeout_s = 5

    thing: Thing
    who: Someone


def test_python_and_yaml_declare_the_same(tmp_path: Path) -> None:
    file = tmp_path / "actions.yaml"
    file.write_text(
        """
actions:
  - name: unlock
    description: Unlock a thing.
    parameters: {thing: object, who: character}
    requires: {near: thing, holding: [key, lamp], regard: ">= 10"}
    awaited: true
    parallel: false
    timeout_s: 5
"""
    )
    (from_yaml,), mistakes = read_actions(file)
    assert mistakes == []
    from_python = spec_of(Unlock)
    for name in ("name", "parameters", "requires", "is_awaited", "is_parallel", "timeout_s"):
        assert getattr(from_yaml, name) == getattr(from_python, name)


@pytest.mark.parametrize(
    ("requires", "message"),
    [
        ("{neer: thing}", "unknown key 'neer'; did you mean 'near'?"),
        ("{near: 'a b'}", "'a b' is no parameter and no id"),
        ("{regard: 20}", "20"),
        ('{regard: "about 20"}', "'about 20' is no comparison"),
        ("[near]", "keys with values are wanted"),
    ],
)
def test_a_mistake_in_yaml_is_shown_with_its_line(tmp_path: Path, requires: str, message: str) -> None:
    file = tmp_path / "actions.yaml"
    file.write_text(f"actions:\n  - name: open\n    description: Open.\n    requires: {requires}\n")
    _, mistakes = read_actions(file)
    assert len(mistakes) == 1
    assert mistakes[0].line == 4
    assert message in mistakes[0].message


def test_a_mistake_in_python_names_the_action() -> None:
    class Leap(Action):
        """Leap."""

        requires: ClassVar[dict[str, object]] = {"neer": "thing"}

    with pytest.raises(ConfigError, match="Leap: requires: neer: have near, holding"):
        spec_of(Leap)
