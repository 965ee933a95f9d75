from pathlib import Path

import pytest
from llguidance import LLMatcher, LLTokenizer

from npc.actions import Act, ActionSpec, Feel, Gesture, Parameter, Rejected, ReplyParser, Say, compile_reply_grammar
from npc.actions.declare import Action, read_actions, spec_of
from npc.actions.expression import expressions
from npc.actions.grammar import Choice
from npc.errors import ConfigError
from npc.world import Scene

BYTES = LLTokenizer("byte")
WAVE = ActionSpec("wave", "", (Parameter("to", "character", is_optional=True),))
SHOWN = expressions(["gruff", "fond"], ["shrug"])


def is_allowed(reply: str, choice: Choice = "auto", shown: tuple[ActionSpec, ...] = SHOWN) -> bool:
    matcher = LLMatcher(BYTES, compile_reply_grammar([WAVE], Scene(), choice, expressions=shown).lark)
    assert not matcher.is_error(), matcher.get_error()
    ids = list(reply.encode())
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


def test_feelings_and_gestures_stand_anywhere_between_words_and_actions() -> None:
    reply = "[feel(name=gruff)] Aye? [gesture(name=shrug)][wave(to=player)] [feel(name=fond, strength=0.5)] Sit down."
    assert is_allowed(reply)
    parser = ReplyParser([WAVE], Scene(), expressions=SHOWN)
    assert [*parser.push(reply), *parser.flush()] == [
        Feel("gruff"),
        Say("Aye?"),
        Gesture("shrug"),
        Act("wave", {"to": "player"}),
        Feel("fond", 0.5),
        Say(" Sit down."),
    ]


@pytest.mark.parametrize(
    "reply",
    [
        "[feel(name=happy)] Hello.",
        "[feel(name=gruff, strength=1.5)] Hello.",
        "[feel(strength=0.5)] Hello.",
        "[gesture(name=gruff)] Hello.",
    ],
)
def test_only_what_the_character_shows_can_be_shown(reply: str) -> None:
    assert not is_allowed(reply)
    parser = ReplyParser([WAVE], Scene(), expressions=SHOWN)
    assert isinstance(parser.push(reply)[0], Rejected)


def test_somebody_who_shows_nothing_cannot_write_it() -> None:
    assert not is_allowed("[feel(name=gruff)] Aye.", shown=())
    assert expressions([], []) == ()


def test_a_feeling_is_no_action_where_one_is_required_or_none_is_wanted() -> None:
    assert is_allowed("[feel(name=gruff)] Aye. [wave()] Well.", "required")
    assert is_allowed("Aye. [wave()]", "required")
    assert not is_allowed("Aye. [feel(name=gruff)]", "required")
    assert is_allowed("Hello. [feel(name=fond)] Friend.", "none")
    assert not is_allowed("Hello. [wave()]", "none")


def test_showing_something_is_no_reply_without_a_word_or_an_action() -> None:
    assert not is_allowed("[feel(name=gruff)]")
    assert not is_allowed("[feel(name=gruff)] [gesture(name=shrug)]", "none")
    assert is_allowed("[feel(name=gruff)] [wave()]")


def test_the_names_are_taken(tmp_path: Path) -> None:
    class Feel(Action):  # the name matters
        """Feel a cloth."""

    with pytest.raises(ConfigError, match="how characters show what they feel"):
        spec_of(Feel)
    file = tmp_path / "actions.yaml"
    file.write_text("actions:\n  - name: gesture\n    description: Wave about.\n")
    _, mistakes = read_actions(file)
    assert "use another name" in mistakes[0].message
