"""Calls as they stand in a reply: `[give(item=sword, to=player)]`.

`parse_call` judges one against what can be done and what is there, for
engines that write without a grammar; it accepts exactly what the grammar
writes. `ReplyParser` splits a streamed reply into words to speak and calls to
make, however the pieces are cut; brackets are never spoken.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from npc.actions import charset
from npc.actions.conditions import NO_GAUGES, Conditions
from npc.actions.expression import Feel, Gesture, shown
from npc.actions.spec import MAX_STRING, VALUE, ActionSpec, Args, Parameter
from npc.errors import InputError
from npc.world import Scene

MAX_CALL = 1000
"""Characters after which an opened bracket is no call any more."""

_CALL = re.compile(r"\[([^\[\](]*)\((.*)\)\]", re.DOTALL)
_ARGUMENT = re.compile(r'([^=,"]*)=("[^"]*"|[^",]*)(, |\Z)', re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Say:
    """Text to speak; it joins on to the `Say` before it without a gap."""

    text: str


@dataclass(frozen=True, slots=True)
class Act:
    name: str
    args: Args


@dataclass(frozen=True, slots=True)
class Rejected:
    """What stood in brackets and is no legal call; it is neither spoken nor done."""

    text: str
    reason: str


Piece = Say | Act | Feel | Gesture | Rejected


def render_call(name: str, args: Args, actions: Sequence[ActionSpec] = ()) -> str:
    """The call as the grammar has it written, if its action is among `actions`.

    Without its declaration, text that could be an id goes without quotes.
    """
    action = next((action for action in actions if action.name == name), None)

    def render(key: str, value: str | int | float) -> str:
        parameter = action.parameter(key) if action else None
        is_text = parameter.kind == "string" if parameter else isinstance(value, str) and not VALUE.fullmatch(value)
        if is_text:
            return f'{key}="{value}"'
        return f"{key}={value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{key}={value}"

    return f"[{name}({', '.join(render(key, value) for key, value in args.items())})]"


def parse_call(text: str, actions: Sequence[ActionSpec], scene: Scene, gauges: Mapping[str, float] = NO_GAUGES) -> Act:
    """Read `[name(a=b)]`. Raises InputError (`bad-call`) where it is not legal in `scene`, with what would be."""
    return _parse_call(text, actions, Conditions(scene, gauges))


def _parse_call(text: str, actions: Sequence[ActionSpec], conditions: Conditions) -> Act:
    call = _CALL.fullmatch(text)
    if call is None:
        raise _illegal(text, "write it as [action(parameter=value)]")
    name, written = call.groups()
    action = next((action for action in actions if action.name == name), None)
    if action is None:
        raise _illegal(text, f"there is no action '{name}'; have {', '.join(a.name for a in actions) or 'none'}")
    if (reason := conditions.unmet(action)) is not None:
        raise _illegal(text, f"{name} cannot be done now: {reason}")
    args: dict[str, str | int | float] = {}
    position = 0
    waiting = iter(action.parameters)
    while position < len(written):
        argument = _ARGUMENT.match(written, position)
        if argument is None or (argument.end() == len(written)) != (argument[3] == ""):
            raise _illegal(text, "arguments are written as parameter=value, parted by ', '")
        position = argument.end()
        parameter = action.parameter(argument[1])
        if parameter is None:
            have = ", ".join(p.name for p in action.parameters) or "none"
            raise _illegal(text, f"{name} has no parameter '{argument[1]}'; have {have}")
        if parameter not in waiting:  # consumes those before it: arguments stand in declared order
            raise _illegal(text, f"'{parameter.name}' stands twice or out of order")
        args[parameter.name] = _read(action, parameter, argument[2], conditions, text)
    missing = [p.name for p in action.parameters if not p.is_optional and p.name not in args]
    if missing:
        raise _illegal(text, f"{name} needs {', '.join(missing)}")
    return Act(name, args)


def _read(
    action: ActionSpec, parameter: Parameter, written: str, conditions: Conditions, call: str
) -> str | int | float:
    match parameter.kind:
        case "string":
            return _read_string(parameter, written, call)
        case "number":
            return _read_number(parameter, written, call)
        case _:
            targets = conditions.targets(action, parameter)
            if written not in targets:
                shown = ", ".join(targets[:12]) + (", …" if len(targets) > 12 else "")
                is_here = written in parameter.targets(conditions.scene)
                why = f"cannot be meant by {action.name} now" if is_here else f"is no {parameter.kind} here"
                raise _illegal(call, f"'{written}' {why}; have {shown or 'none'}")
            return written


def _read_string(parameter: Parameter, written: str, call: str) -> str:
    value = written[1:-1]
    if (
        written[:1] != '"'
        or not 1 <= len(value) <= MAX_STRING
        or value[0] == " "
        or not all(letter == " " or charset.is_in(letter, charset.QUOTABLE) for letter in value)
    ):
        rule = f'"plain text" of at most {MAX_STRING} characters, without quotes, brackets or line breaks'
        raise _illegal(call, f"{parameter.name} is {rule}")
    return value


def _read_number(parameter: Parameter, written: str, call: str) -> int | float:
    minimum, maximum = parameter.minimum, parameter.maximum
    number = _NUMBER.fullmatch(written)
    is_legal = (
        number is not None
        and not (parameter.is_integer and number[2])
        and minimum <= float(written) <= maximum
        and not (float(written) == 0 and written[0] == "-")
    )
    if not is_legal:
        kind = "a whole number" if parameter.is_integer else "a number of at most two decimals"
        raise _illegal(call, f"{parameter.name} is {kind} from {minimum:g} to {maximum:g}, not '{written}'")
    return int(written) if parameter.is_integer else float(written)


def _illegal(call: str, reason: str) -> InputError:
    shown = call if len(call) <= 80 else call[:79] + "…"
    return InputError(f"{shown}: {reason}", "bad-call")


class ReplyParser:
    """Splits one reply, as it streams, into what is said and what is done. Pure: no clock, no I/O.

    Every way of cutting the same reply gives the same pieces once adjacent `Say`
    are joined. Text is cleaned of what is not for speaking: line breaks and other
    blanks become one space, Markdown and pictographs go.
    """

    def __init__(
        self,
        actions: Sequence[ActionSpec],
        scene: Scene,
        gauges: Mapping[str, float] = NO_GAUGES,
        expressions: Sequence[ActionSpec] = (),
    ) -> None:
        """With `expressions` (`npc.actions.expression`) there are `Feel` and `Gesture` among the pieces."""
        self._actions = [*actions, *expressions]
        self._expressions = {expression.name for expression in expressions}
        self._conditions = Conditions(scene, gauges)
        self._call = ""
        self._is_overlong = False
        """Inside a bracket that can be no call; its rest is dropped up to the closing one."""
        self._needs_space = False
        self._has_spoken = False

    def push(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        said = ""
        for part in re.split(r"([\[\]])", text):
            match part:
                case "[":
                    pieces += _say(said)
                    said = ""
                    pieces += self._drop("another bracket opens before it is closed")
                    self._call = "["
                case "]" if self._call:
                    pieces += self._close()
                case "]":  # closes nothing
                    continue
                case _ if self._call:
                    pieces += self._extend(part)
                case _:
                    said += self._clean(part)
        return pieces + _say(said)

    def flush(self) -> list[Piece]:
        """The reply is over; an open call is dropped."""
        return self._drop("it is not finished")

    def _extend(self, part: str) -> list[Piece]:
        if self._is_overlong:
            return []
        self._call += part
        if len(self._call) < MAX_CALL:
            return []
        self._is_overlong = True
        return [Rejected(self._call[:MAX_CALL], f"it has more than {MAX_CALL} characters")]

    def _close(self) -> list[Piece]:
        call, is_overlong = self._call + "]", self._is_overlong
        self._call, self._is_overlong, self._needs_space = "", False, self._has_spoken
        if is_overlong:
            return []
        try:
            act = _parse_call(call, self._actions, self._conditions)
            return [shown(act.name, act.args) if act.name in self._expressions else act]
        except InputError as error:
            return [Rejected(call, str(error))]

    def _drop(self, reason: str) -> list[Piece]:
        call, is_overlong = self._call, self._is_overlong
        self._call, self._is_overlong = "", False
        return [Rejected(call, reason)] if call and not is_overlong else []

    def _clean(self, text: str) -> str:
        """A space is written with the word that follows it, so blanks at either end of the reply vanish."""
        cleaned = ""
        for letter in text:
            if letter.isspace() or letter == "_":
                self._needs_space = self._has_spoken
            elif charset.is_in(letter, charset.SPEAKABLE):
                cleaned += f" {letter}" if self._needs_space else letter
                self._needs_space, self._has_spoken = False, True
        return cleaned


def _say(text: str) -> list[Piece]:
    return [Say(text)] if text else []
