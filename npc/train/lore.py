"""Passages and traits whose every detail is dealt anew, each with the questions that it answers and those it does not.

    fact: ["The {ship:@name} sails at {when:@clock}."]
    qa: [{ask: ["When does the {ship} sail?"], say: ["At {when}."]}]
    silent: ["Who steers the {ship}?"]

`@name` deals from a word list, `@3..40` a number, `a|b` one of these. A model
that has met each sentence with a thousand different details has to read them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from npc.sheet import Sheet
from npc.train.notation import CHOICE, capitalised, fill, slots, spelled

Lines = Annotated[list[str], Field(min_length=1)]
_RANGE = re.compile(r"@(\d+)\.\.(\d+)")


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Question(_Form):
    ask: Lines
    say: Lines = Field(description="answers every `ask`")


class LoreForm(_Form):
    fact: Lines = Field(description="ways of telling it; the first declares its details")
    qa: Annotated[list[Question], Field(min_length=1)]
    silent: list[str] = Field(default=[], description="questions near to it that it does not answer")

    @property
    def details(self) -> dict[str, str]:
        """What may stand for each detail, as it is declared."""
        return dict(CHOICE.findall(self.fact[0]))


class LoreFile(_Form):
    words: dict[str, Lines] = {}
    facts: list[LoreForm]


@dataclass(frozen=True, slots=True)
class Told:
    """Lore with its details dealt."""

    form: LoreForm
    text: str
    details: Mapping[str, str]

    def question(self, random: Random) -> tuple[str, str]:
        """A question, and a right answer."""
        asked = random.choice(self.form.qa)
        return self._filled(random.choice(asked.ask)), self._filled(random.choice(asked.say))

    def pointed_question(self, random: Random) -> tuple[str, str] | None:
        """One that names a detail, and so cannot be asked of another passage of the same form."""
        pointed = [(ask, each.say) for each in self.form.qa for ask in each.ask if slots(ask)]
        if not pointed:
            return None
        ask, say = random.choice(pointed)
        return self._filled(ask), self._filled(random.choice(say))

    def silent(self, random: Random) -> str | None:
        return self._filled(random.choice(self.form.silent)) if self.form.silent else None

    def answers(self, asked: str) -> bool:
        return asked in (self._filled(ask) for each in self.form.qa for ask in each.ask)

    def _filled(self, text: str) -> str:
        return _written(text, self.details)


def deal(
    form: LoreForm, words: Mapping[str, Sequence[str]], random: Random, taken: frozenset[str] = frozenset()
) -> Told:
    """`taken`: details that must not come up again, since another passage has them."""
    details: dict[str, str] = {}
    numbers: set[int] = set()
    for name, choices in form.details.items():
        if bounds := _RANGE.fullmatch(choices):
            low, high = map(int, bounds.groups())
            number = random.choice([n for n in range(low, high + 1) if n not in numbers] or [low])
            numbers.add(number)
            details[name] = spelled(number, random, is_year=name == "year")
            continue
        among = words[choices[1:]] if choices.startswith("@") else choices.split("|")
        fresh = [each for each in among if each not in taken and each not in details.values()]
        details[name] = random.choice(fresh or list(among)).strip()
    return Told(form, _written(random.choice(form.fact), details), details)


def _written(text: str, details: Mapping[str, str]) -> str:
    filled = capitalised(fill(text, details))
    return re.sub(r"\b([Aa]) (?!(?:one|once|uni\w+|us\w+|eu\w+)\b)(?=[aeiou])", r"\1n ", filled)


def in_first_person(told: Told) -> Told:
    """For a trait, whose answers are in the mouth of the one whom the sheet calls "you"."""
    details = {name: mine(value) for name, value in told.details.items()}
    return Told(told.form, told.text, details)


def mine(text: str) -> str:
    """`your mother warned you` → `my mother warned me`."""
    swaps = {"your": "my", "you": "me", "yourself": "myself", "yours": "mine"}
    return re.sub(r"\b(?:your|you|yourself|yours)\b", lambda match: swaps[match[0]], text)


def check(sheet: Sheet, file: LoreFile, words: Mapping[str, Sequence[str]]) -> None:
    """Blame what is wrong in `file` on `sheet`."""
    for n, form in enumerate(file.facts):
        details = form.details
        for choices in details.values():
            if choices.startswith("@") and not _RANGE.fullmatch(choices) and choices[1:] not in words:
                sheet.blame(("facts", n), f"'{choices}' is no word list; have {', '.join(words)}")
        for text in (*form.fact, *(t for each in form.qa for t in (*each.ask, *each.say)), *form.silent):
            for slot in slots(CHOICE.sub("", text)):
                if slot not in details:
                    sheet.blame(("facts", n), f"'{text}': {{{slot}}} is no detail of it")
