"""What a reply may be, compiled from a character's actions and what the scene holds now.

A reply is one paragraph of text with calls between: `Aye. [walk_to(place=well)]
Mind the step.` An unknown action, a target that is not there and a bracket in
the text cannot be written; saying nothing but words always can. The grammar is
written once, in Lark as llguidance reads it; llama.cpp's GBNF differs only in
how rules and character classes are set off.

https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from npc.actions import charset
from npc.actions.choices import one_of
from npc.actions.conditions import NO_GAUGES, Conditions
from npc.actions.number import number_pattern
from npc.actions.reference import TargetKind
from npc.actions.spec import MAX_STRING, VALUE, ActionSpec, Parameter
from npc.errors import InputError
from npc.turn import Grammar
from npc.world import Scene

Choice = Literal["auto", "required", "none"]
"""May a reply act, must it, or must it not."""

LEAD_WORDS = 14
"""The sentence before a required call has at most this many words of at most LEAD_CHARACTERS characters."""
LEAD_CHARACTERS = 20


def compile_reply_grammar(
    actions: Sequence[ActionSpec],
    scene: Scene,
    choice: Choice = "auto",
    only: Collection[str] | None = None,
    targets: Mapping[TargetKind, Collection[str]] | None = None,
    gauges: Mapping[str, float] = NO_GAUGES,
    expressions: Sequence[ActionSpec] = (),
) -> Grammar:
    """The grammar of a reply by somebody who can do `actions` (of these `only` the named, if given) in `scene`.

    `targets` narrows the ids that may stand for a kind, as a `Nomination` does. `gauges` is how the character feels,
    for actions that require something of it (`npc.actions.requires`). `expressions` (`npc.actions.expression`) may
    stand wherever a call may; at the beginning alone where one is required.
    With "required" there is exactly one call, after a short sentence at most, and something is said.
    Actions that have nothing in the scene to target are left out; where none
    remains, the reply is text.
    """
    conditions = Conditions(scene, gauges)
    possible = [
        action for action in actions if (only is None or action.name in only) and conditions.is_possible(action)
    ]
    if choice == "none" or not possible:
        start = "FIRST (shown (MORE? shown)* MORE?)?" if expressions else "FIRST"
    elif choice == "required":
        start = "(LEAD call MORE? | call MORE)"
    else:
        item = "(call | shown)" if expressions else "call"
        start = f"(FIRST ({item} (MORE? {item})* MORE?)? | call (MORE? {item})* MORE?)"
    if expressions:
        start = f"(shown SPACE?)* {start}"
    rules = {"start": start, **_TEXT_RULES}
    if "call" in start:
        rules |= _call_rules("call", possible, conditions, targets or {})
    if "shown" in start:
        rules |= _call_rules("shown", expressions, conditions, {}) | {"SPACE": '" "'}
    if "LEAD" in start:
        rules |= _LEAD_RULES
    return Grammar(lark=_lark(rules), gbnf=_gbnf(rules))


def _characters(ranges: charset.Ranges) -> str:
    return "/[" + "".join(f"\\U{first:08X}-\\U{last:08X}" for first, last in ranges) + "]/"


# A reply begins with something audible; words are parted by single spaces, so that a model
# whose line break was refused cannot write blanks without end.
_TEXT_RULES = {
    "FIRST": 'OPENING{0,3} SOUNDING (" "? SPEAKABLE)* " "?',
    "MORE": '" " (SPEAKABLE (" "? SPEAKABLE)* " "?)?',
    "SPEAKABLE": _characters(charset.SPEAKABLE),
    "SOUNDING": _characters(charset.SOUNDING),
    "OPENING": _characters(charset.PUNCTUATION),
}

_LEAD_RULES = {
    "LEAD": f"QUIET{{0,2}} SOUNDING WITHIN{{0,{LEAD_CHARACTERS - 1}}} "
    f'(" " WITHIN{{1,{LEAD_CHARACTERS}}}){{0,{LEAD_WORDS - 1}}} END{{1,3}} " "?',
    "QUIET": _characters(charset.minus(charset.PUNCTUATION, charset.SENTENCE_END)),
    "WITHIN": _characters(charset.minus(charset.SPEAKABLE, charset.SENTENCE_END)),
    "END": _characters(charset.SENTENCE_END),
}

_STRING_RULES = {
    "STRING": f'"\\"" QUOTABLE (QUOTABLE | " "){{0,{MAX_STRING - 1}}} "\\""',
    "QUOTABLE": _characters(charset.QUOTABLE),
}


def _call_rules(
    name: str, actions: Sequence[ActionSpec], conditions: Conditions, targets: Mapping[TargetKind, Collection[str]]
) -> dict[str, str]:
    rules: dict[str, str] = {}
    sets: dict[tuple[str, ...], str] = {}
    """The rules for ids by the ids that they allow: most parameters of a kind share one."""

    def ids(kind: TargetKind, here: tuple[str, ...]) -> str:
        if here not in sets:
            among = set(targets.get(kind, here))
            literals = _literals([target for target in here if target in among] or here)
            sets[here] = add(f"{kind.upper()}{len(sets) or ''}", literals)
        return sets[here]

    def value(action: ActionSpec, parameter: Parameter) -> str:
        """The name of the rule for what may stand in `parameter`."""
        match parameter.kind:
            case "place" | "object" | "character" as kind:
                return ids(kind, conditions.targets(action, parameter))
            case "string":
                rules.update(_STRING_RULES)
                return "STRING"
            case "enum":
                return shared(_literals(parameter.choices))
            case "number":
                return shared(number_pattern(parameter.minimum, parameter.maximum, parameter.is_integer))

    def shared(body: str) -> str:
        return next((rule for rule, known in rules.items() if known == body), None) or add(
            f"{name.upper()}VALUE{len(rules)}", body
        )

    def add(rule: str, body: str) -> str:
        rules[rule] = body
        return rule

    def arguments(action: ActionSpec, parameters: Sequence[Parameter], is_first: bool) -> str:
        if not parameters:
            return ""
        parameter, *rest = parameters
        is_open = parameter.kind in ("string", "number")
        if not is_open and not conditions.targets(action, parameter):  # optional, or the action would not be here
            return arguments(action, rest, is_first)
        given = f'"{"" if is_first else ", "}{parameter.name}=" {value(action, parameter)}'
        if not parameter.is_optional:
            return f"{given} {arguments(action, rest, False)}"
        if not is_first:
            return f"({given})? {arguments(action, rest, False)}"
        otherwise = arguments(action, rest, True).strip()
        with_it = f"{given} {arguments(action, rest, False)}"
        return f"({with_it} | {otherwise})" if otherwise else f"({with_it})?"

    calls = [f'"[{action.name}(" {arguments(action, action.parameters, True)} ")]"' for action in actions]
    # Literals that stand side by side become one: a third less for the matcher to read.
    return {name: " | ".join(re.sub('" +"', "", call) for call in calls), **rules}


def _literals(values: Sequence[str]) -> str:
    for value in values:
        if not VALUE.fullmatch(value):  # pydantic and ActionSpec see to it; a scene built past them is stopped here
            raise InputError(
                f"'{value[:80]}' cannot be a target; ids have letters, digits and _ . - alone", "bad-scene"
            )
    return one_of(tuple(values))


def _lark(rules: dict[str, str]) -> str:
    return "".join(f"{name}: {body}\n" for name, body in rules.items())


def _gbnf(rules: dict[str, str]) -> str:
    # Names and values hold no slash, so one can only delimit a class.
    return "".join(
        f"{'root' if name == 'start' else name} ::= {body.replace('/[', '[').replace(']/', ']')}\n"
        for name, body in rules.items()
    )
