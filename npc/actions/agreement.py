"""Does a character do what it says, and say what it does?

Three things go wrong: it says that it will and does not ("I'll open the gate"
and no call), it says that it will not and does, and it speaks of one thing
and acts on another. Judged by frames of speech and by the verbs that actions
declare, as the reply is written: what can be mended without another pass of
the model carries its mending. Pure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from npc.actions.conditions import NO_GAUGES, Conditions
from npc.actions.markup import Act
from npc.actions.mentions import STAND_INS, Mentions, names_of
from npc.actions.reference import TargetKind
from npc.actions.spec import ActionSpec, Parameter
from npc.world import Scene
from npc.world.scene import PLAYER

Kind = Literal["promised", "denied", "other"]

_WILL = (
    r"(?:i'll|i will|i shall|i'm going to|i am going to|i'm gonna|let me|allow me to|i'm about to|watch me|i'd better)"
    r"(?: (?:just|gladly|now|gently|quickly|then|go|come|and|first|happily|even|also|simply|always))*"
)
_WONT = (
    r"(?:i won't|i will not|i'll not|i'll never|i will never|i shall never|i would never|i'd never|i can't|i cannot|"
    r"i can not|i refuse to|i'd rather not|i would not|i wouldn't|i'm not going to|i am not going to|i never|"
    r"i must not|i mustn't|i may not|i shan't|i don't|i do not|i'm not allowed to|i am not allowed to|nobody|no one|"
    r"i'm not about to|don't ask me to|i couldn't|i could not)"
    r"(?: (?:just|simply|ever|let you|dare|dare to|want to|will|can|possibly|be|the likes of you))*"
)
_DEFERRED = re.compile(
    r"\b(?:if|when|whenever|once|until|till|unless|after|before|tomorrow|later|tonight|someday|one day|soon|next|"
    r"maybe|perhaps|might|as soon as|in the morning|some day|on market day|would|could|usually|sometimes|yesterday)\b"
)
"""Makes a promise one for another time."""
_NO = re.compile(
    r"^(?:no|never|nay|nope|absolutely not|certainly not|of course not|not a chance|no chance|no way|"
    r"out of the question|forget it|i refuse|i'm afraid not|i think not|not for you|not today|not now|never in my life|"
    r"over my dead body|"
    r"i can't|i cannot|i won't|i will not|i'd rather not|i can't do that|i cannot do that|i won't do (?:that|it)|"
    r"(?:that|it|the (?:thing|person|place))(?: is|'s) not for sale|i'm sorry,? (?:but )?(?:no|i can't)|"
    r"sorry,? (?:but )?(?:no|i can't)(?: do that)?)"
    r"(?:,? (?:friend|stranger|sir|madam|lad|child|traveller|my friend|not that|not this one|not here))?$"
)
_YES = re.compile(r"^(?:yes|aye|of course|gladly|certainly|sure|with pleasure|as you wish|very well|all right|fine)\b")
_SHORT: Mapping[TargetKind, str] = {
    "object": "it|that|this|them",
    "place": "there|here",
    "character": "you|him|her|them",
}
_MEANT = {"nod": _NO, "shake_head": _YES}
"""Heads that say the opposite."""
_PRONOUN: Mapping[str, re.Pattern[str]] = {
    "object": re.compile(r"\b(?:it|that|this|one|them|these|those)\b"),
    "place": re.compile(r"\b(?:there|here|it)\b"),
    "character": re.compile(r"\b(?:him|her|them|you)\b"),
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where words and deeds part."""

    kind: Kind
    action: str
    sentence: str
    call: Act | None = None
    """The call that was made: of what is denied, and of what is done to something else."""
    instead: Act | None = None
    """What to do in its place, or at all: where the words leave no doubt. Without it, drop `call`; a promise without
    it is for the model to take back, or for `choice="required"` to keep."""


def prepare(actions: Sequence[ActionSpec]) -> None:
    """Compile what is listened for, ahead of need: tens of milliseconds the first time in a process, then nothing."""
    for action in actions:
        _announcements(action)
        _denials(action)


@dataclass(slots=True)
class Agreement:
    """Listens to one reply as it is written. Feed `say` and `act` in the order of the reply, then `end`."""

    actions: Sequence[ActionSpec]
    scene: Scene
    gauges: Mapping[str, float] = field(default_factory=lambda: NO_GAUGES)
    utterance: str = ""
    """What the player said: it may name what the reply does not."""
    _text: str = ""
    _calls: list[Act] = field(default_factory=list)

    def say(self, text: str) -> None:
        self._text += text

    def act(self, call: Act) -> Mismatch | None:
        """Whether the call contradicts what was said before it. Drop it then, or make `instead`."""
        mismatch = self._contradiction(call, list(self._sentences()))
        made = call if mismatch is None else mismatch.instead
        if made is not None:
            self._calls.append(made)
        return mismatch

    def end(self) -> tuple[Mismatch, ...]:
        """What was promised and not done, and what was done and denied afterwards."""
        found: list[Mismatch] = []
        sentences = list(self._sentences())
        for call in self._calls:
            mismatch = self._contradiction(call, sentences)
            if mismatch is not None:
                found.append(mismatch)
        done = {call.name for call in self._calls}
        for sentence in sentences:
            promised = self._promised(sentence)
            if promised and not done & {action.name for action in promised}:
                action = promised[0]
                found.append(Mismatch("promised", action.name, sentence.said, None, self._call_of(promised, sentence)))
                done.add(action.name)
        return tuple(found)

    def _sentences(self) -> Iterator["_Sentence"]:
        names = names_of(self.scene)
        for part in re.split(r"(?<=[.!?…])\s+|\s+[—–]\s+", self._text.strip()):
            if part:
                found = names.find(part)
                yield _Sentence(part, re.sub(r"[.!?…\"“”]+$", "", found.text).strip(), found)

    def _promised(self, sentence: "_Sentence") -> list[ActionSpec]:
        """The actions that the sentence says it does now, those said in most words first: `get you` before `get`."""
        if sentence.said.endswith("?"):
            return []
        said = [(n_letters, action) for action in self.actions if (n_letters := _announced(action, sentence))]
        return [action for n_letters, action in sorted(said, key=lambda pair: -pair[0])]

    def _contradiction(self, call: Act, sentences: Sequence["_Sentence"]) -> Mismatch | None:
        action = next((action for action in self.actions if action.name == call.name), None)
        if action is None:
            return None
        promises = [sentence for sentence in sentences if action in self._promised(sentence)]
        for sentence in sentences:
            if _denials(action).search(sentence.plain) or (
                not promises and action.is_favour and _NO.match(sentence.plain)
            ):
                return Mismatch("denied", action.name, sentence.said, call)
            if not promises and action.name in _MEANT and _MEANT[action.name].match(sentence.plain):
                return Mismatch("denied", action.name, sentence.said, call)
        return self._other_target(action, call, promises)

    def _other_target(self, action: ActionSpec, call: Act, promises: Sequence["_Sentence"]) -> Mismatch | None:
        for sentence in promises:
            for parameter in action.parameters:
                named = _named(sentence.found, parameter) if _is_target(parameter) else ()
                if not named or call.args.get(parameter.name) in (None, PLAYER, *named):
                    continue
                instead: Act | None = None
                if len(named) == 1 and named[0] in Conditions(self.scene, self.gauges).targets(action, parameter):
                    instead = Act(call.name, {**call.args, parameter.name: named[0]})
                return Mismatch("other", action.name, sentence.said, call, instead)
        return None

    def _call_of(self, promised: Sequence[ActionSpec], sentence: "_Sentence") -> Act | None:
        """The one call that the words leave open, if they leave one."""
        heard = names_of(self.scene).find(self.utterance)
        conditions = Conditions(self.scene, self.gauges)
        longest = _announced(promised[0], sentence)
        meant = [action for action in promised if _announced(action, sentence) == longest]
        made = [call for action in meant if (call := _only_call(action, conditions, sentence.found, heard))]
        return made[0] if len(made) == 1 else None


@dataclass(frozen=True, slots=True)
class _Sentence:
    said: str
    plain: str
    """In lowercase, with stand-ins for names and without its end mark."""
    found: Mentions


def _announced(action: ActionSpec, sentence: _Sentence) -> int:
    """In how many letters the sentence says that it does the action now; 0: it does not."""
    is_deferred = bool(_DEFERRED.search(sentence.plain))
    for pattern, is_promise in _announcements(action):
        match = pattern.search(sentence.plain)
        if match and (not is_promise or (not is_deferred and _names_a_target(action, sentence))):
            return len(match[0])
    return 0


def _is_target(parameter: Parameter) -> bool:
    return parameter.kind in ("place", "object", "character")


def _named(found: Mentions, parameter: Parameter) -> tuple[str, ...]:
    return next((ids for kind, ids in found.targets.items() if kind == parameter.kind), ())


def _names_a_target(action: ActionSpec, sentence: _Sentence) -> bool:
    """Whether everything that the action needs is named, or meant by a pronoun; `you` is the player."""
    return all(
        bool(_named(sentence.found, parameter)) or bool(_PRONOUN[parameter.kind].search(sentence.plain))
        for parameter in action.parameters
        if parameter.kind in ("place", "object") and not parameter.is_optional
    )


def _only_call(action: ActionSpec, conditions: Conditions, said: Mentions, heard: Mentions) -> Act | None:
    if not conditions.is_possible(action):
        return None
    args: dict[str, str | int | float] = {}
    for parameter in action.parameters:
        if parameter.is_optional:
            continue
        if not _is_target(parameter):
            return None  # a number or a text that only the model can choose
        legal = conditions.targets(action, parameter)
        named = [target for found in (said, heard) for target in _named(found, parameter) if target in legal]
        if parameter.kind == "character" and not named and PLAYER in legal:
            named = [PLAYER]
        named = named or (list(legal) if len(legal) == 1 else [])
        if not named or len(_named(said, parameter)) > 1:
            return None
        args[parameter.name] = named[0]
    return Act(action.name, args)


def _verbs(action: ActionSpec) -> tuple[str, ...]:
    return action.verbs or (action.name.replace("_", " "),)


def _worded(action: ActionSpec, verb: str) -> str:
    """A verb as a pattern: "go to {place}" → go to the place, the words of a name having become a stand-in."""
    worded = re.escape(verb)
    for parameter in action.parameters:
        kind: TargetKind
        for kind in ("place", "object", "character"):
            if parameter.kind == kind:
                name = rf"(?:\w+ )?(?:{STAND_INS[kind]}|{_SHORT[kind]})"
                worded = worded.replace(re.escape(f"{{{parameter.name}}}"), name)
    return worded.replace(r"\ ", " ")


def _going(verb: str) -> str:
    """`open` → `opening`, `get you` → `getting you`."""
    first, _, rest = verb.partition(" ")
    if first.endswith("e") and not first.endswith(("ee", "be")):
        first = first[:-1]
    elif re.fullmatch(r"[a-z]*[^aeiou][aeiou][bdgnprt]", first) and first not in ("open", "collect", "offer"):
        first += first[-1]
    return f"{first}ing {rest}".strip()


@lru_cache(maxsize=1024)
def _announcements(action: ActionSpec) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """What says that it is done now; and whether it is a promise, which has to name its target and no condition."""
    verbs = "|".join(_worded(action, verb) for verb in _verbs(action))
    going = "|".join(_worded(action, _going(verb)) for verb in _verbs(action))
    patterns = [
        (re.compile(rf"\b{_WILL} (?:{verbs})\b"), True),
        (re.compile(rf"(?:\b(?:i'm|i am)(?: (?:now|already|just))* |^(?:right, |aye, |now )?)(?:{going})\b"), True),
    ]
    if action.says:
        says = "|".join(map(re.escape, action.says))
        opening = r"(?:(?:\w+|all right|of course|very well),? )?"
        patterns.append((re.compile(rf"^{opening}(?:{says})(?:,? \w+){{0,2}}$"), False))
    return tuple(patterns)


@lru_cache(maxsize=1024)
def _denials(action: ActionSpec) -> re.Pattern[str]:
    verbs = "|".join(_worded(action, verb).partition(r" {")[0] for verb in _verbs(action))
    return re.compile(rf"\b{_WONT} (?:{verbs})\b")
