"""The short notations of authored data: actions, things, and facts with interchangeable details.

hoist_flag(flag=object, (times=1..5))     an action; round brackets for what may be left out
lamp: the great lamp | smokes in damp      a thing: its name, and what is to say of it
Cast in {year:1688|1731} of {metal:tin|bronze}.    a fact; its question and answer repeat {year}
"""

import re
from collections.abc import Mapping
from random import Random

from npc.actions import ActionSpec, Parameter
from npc.actions.spec import KINDS
from npc.errors import ConfigError
from npc.world import Entity

_ACTION = re.compile(r"([a-z][a-z0-9_]*)(?:\((.*)\))?")
_PARAMETER = re.compile(r"(\()?([a-z][a-z0-9_]*)(?:=([^,()]+))?\)?")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
CHOICE = re.compile(r"\{([a-z][a-z0-9_]*):([^{}]*)\}")
_SLOT = re.compile(r"\{([a-zA-Z][a-z0-9_]*)\}")


def read_action(signature: str, description: str) -> ActionSpec:
    """Raises ConfigError where `signature` is none."""
    match = _ACTION.fullmatch(signature.strip())
    if match is None:
        raise ConfigError(f"'{signature}' is no action; write it as hoist_flag(flag=object, (times=1..5))")
    parts = [part for part in re.split(r",\s*", match[2] or "") if part]
    return ActionSpec(match[1], description, tuple(_parameter(part) for part in parts))


def _parameter(text: str) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise ConfigError(f"'{text}' is no parameter; write it as place, item=object, side=left|right or times=1..5")
    is_optional, name, kind = bool(match[1]), match[2], match[3] or match[2]
    if bounds := _RANGE.fullmatch(kind):
        low, high = map(float, bounds.groups())
        return Parameter(name, "number", minimum=low, maximum=high, is_integer=True, is_optional=is_optional)
    if "|" in kind:
        return Parameter(name, "enum", choices=tuple(kind.split("|")), is_optional=is_optional)
    if kind == "text":
        return Parameter(name, "string", is_optional=is_optional)
    known = next((each for each in KINDS if each == kind and each in ("place", "object", "character")), None)
    if known is None:
        raise ConfigError(f"parameter '{text}': have place, object, character, text, a|b and 1..5")
    return Parameter(name, known, is_optional=is_optional)


def read_entity(entity_id: str, text: str) -> Entity:
    name, _, description = (part.strip() for part in text.partition("|"))
    return Entity(id=entity_id, name=name, description=description)


def definite(name: str) -> str:
    """`a plain knife` → `the plain knife`; names of people and `the well` stay."""
    return re.sub(r"^(an?|some)\s+", "the ", name)


def single(text: str, name: str) -> str:
    """`{n} brass boxes` → `{n} brass box`, for where the slot `name` stands for one; `{n} times` stays."""
    slot = rf"(\{{[{name[0]}{name[0].upper()}]{name[1:]}\}} (?:(?!times)[a-z]+ )??)"
    return re.sub(slot + r"(?!times\b)([a-z]{2,}[^su\W])s\b", lambda m: m[1] + _singular(m[2]), text)


def _singular(stem: str) -> str:
    """Of a plural without its s."""
    if stem.endswith("ie") and len(stem) > 3:
        return f"{stem[:-2]}y"
    return stem[:-1] if re.search(r"(?:ch|sh|x|ss)e$", stem) else stem


def choose_details(fact: str, random: Random) -> dict[str, str]:
    """One detail for each `{name:a|b}` of a fact."""
    return {name: random.choice(choices.split("|")).strip() for name, choices in CHOICE.findall(fact)}


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with its slots replaced; `{Name}` begins with a capital. Raises ConfigError for an unknown slot."""

    def value(name: str) -> str:
        if name in values:
            return values[name]
        lowered = name[0].lower() + name[1:]
        if lowered in values:
            return values[lowered][:1].upper() + values[lowered][1:]
        raise ConfigError(f"'{text}': {{{name}}} stands for nothing; have {', '.join(values) or 'no slots'}")

    text = CHOICE.sub(lambda match: value(match[1]), text)
    return _SLOT.sub(lambda match: value(match[1]), text)


def capitalised(text: str) -> str:
    """Each sentence begins with a capital."""
    return re.sub(r"(?:^|(?<=[.!?] ))[a-z]", lambda match: match[0].upper(), text)


def gerund(phrase: str) -> str:
    """`stop the car` → `stopping the car`, by the rules that most verbs follow."""
    verb, _, rest = phrase.partition(" ")
    if verb.endswith("ie"):
        verb = verb[:-2] + "y"
    elif verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        verb = verb[:-1]
    elif re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", verb):
        verb += verb[-1]
    return f"{verb}ing {rest}".strip()


_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def numeral(number: int, joint: str = " ") -> str:
    """In words up to a hundred; a recogniser writes either."""
    if not 0 <= number <= 100:
        return str(number)
    if number == 100:
        return "one hundred"
    if number < 20:
        return _ONES[number]
    tens = _TENS[number // 10]
    return tens if number % 10 == 0 else f"{tens}{joint}{_ONES[number % 10]}"


def spelled(number: int, random: Random, *, is_year: bool = False) -> str:
    """As a writer might have put it: `42`, `forty-two`, `3,112`."""
    if is_year:
        return str(number)
    if number > 999:
        return f"{number:,}" if random.random() < 0.6 else str(number)
    return numeral(number, "-") if random.random() < 0.6 else str(number)


def as_npc(phrase: str) -> str:
    """What a player asks for, in the mouth of the one who does it: `show me your hat` → `show you my hat`."""
    swaps = {"me": "you", "my": "your", "mine": "yours", "us": "you", "our": "your", "your": "my", "yourself": "myself"}
    return re.sub(r"\b(?:me|my|mine|us|our|your|yourself)\b", lambda match: swaps[match[0]], phrase)


_ASKS = r"(?P<asks>(?:How|What|Where|Who|When|Why|Which)(?: \w+)?)"
_NAMED = r"(?P<named>(?:the|an?|your|my|this|that|[A-Z]\w+)(?: \w+){0,2}|it|they|he|she)"
_AUXILIARY = "is|are|was|were|do|does|did|can|could|will|would|has|had|have"
_CLAUSES = (
    (re.compile(rf"{_ASKS} (?P<verb>is|are) {_NAMED}\?"), "{asks} {named} {verb}"),
    (re.compile(rf"{_ASKS} does {_NAMED} (?P<verb>\w+)\?"), "{asks} {named} {verb}s"),
    (re.compile(rf"{_ASKS} do (?P<named>you|they|we|I) (?P<verb>\w+.*)\?"), "{asks} {named} {verb}"),
    (re.compile(rf"{_ASKS} (?P<verb>can|could|must|should|may) (?P<named>I|we|you|one) (?P<rest>.+)\?"),
     "{asks} {named} {verb} {rest}"),
    (re.compile(rf"(?P<asks>Who|What) (?P<verb>(?!(?:{_AUXILIARY})\b)\w+ .+)\?"), "{asks} {verb}"),
)  # fmt: skip
_HISSING = re.compile(r"(?:s|x|z|ch|sh|[^aeiou]y|o)$")


def as_clause(question: str) -> str | None:
    """`How deep is the well?` → `how deep the well is`; None where it takes more grammar than is known here."""
    for form, clause in _CLAUSES:
        found = form.fullmatch(question)
        if found is None or (clause.endswith("{verb}s") and _HISSING.search(found["verb"])):
            continue
        if clause == "{asks} {named} {verb}" and found["named"].endswith(("ed", "en", "ing")):
            continue  # "When is the gate opened?"
        made = clause.format(**found.groupdict())
        return made[0].lower() + made[1:]
    return None


def slots(text: str) -> list[str]:
    """The names that stand in braces, as they are declared."""
    return [name[0].lower() + name[1:] for name in _SLOT.findall(text)]
