"""Judges a reply by its words alone: no model's opinion, so that a verdict can be traced and repeated.

docs/model.md says what each check sees and what it cannot see.
"""

import re
from collections.abc import Sequence

from npc.character import Character

_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_FACTORS = {"hundred": 100, "thousand": 1000}
_DIGITS = {word: str(value) for value, word in enumerate(_NUMBERS)} | {word: str(n) for word, n in _TENS.items()}

_ABSTAINS = re.compile(
    r"\b(?:(?:do|does|did|would|could|can|will|have|has|was)(?:n't| not)|can't|cannot|never|wouldn't|hardly|not) "
    r"(?:\w+ ){0,2}?(?:know|tell|say|heard?|learn(?:ed|t)|told|remember|recall|sure|certain|recollect|met|seen|speak|"
    r"answer|guess|familiar|aware|mine to|recorded?|briefed|given to me)\b"
    r"|\bno (?:idea|clue|notion|word|record|memory|knowledge|data|answer|news|telling|such (?:name|story|thing))\b"
    r"|\b(?:beyond|past|outside) (?:me|my|what i)\b|\bis (?:news|a mystery|a closed book|unknown|strange) to me\b"
    r"|\bnews to me\b|\bunknown to me\b|\bwho (?:knows|can say)\b"
    r"|\byou(?:'d| would)? (?:must|should|better|best|have to) (?:\w+ ){0,2}ask\b"
    r"|\bask (?:someone|somebody|another)\b|\bnobody (?:ever )?(?:told|tells) me\b"
    r"|\bi know nothing\b|\bnothing (?:of|about) (?:that|it|this)\b|\bthat one (?:escapes|beats) me\b|\bbeats me\b"
    r"|\b(?:nobody|no one|no \w+)(?: ever| has| thought to| lived to)? (?:told|tell|tells|sold) me\b"
    r"|^unknown\b|\bno report on\b|\b(?:hidden|kept) from me\b|\bif i know\b"
    r"|\bknows? (?:that|this) one and i do(?:n't| not)\b"
    r"|\bescapes me\b|\bi (?:wish|wonder) (?:\w+ ){0,2}kn[eo]w\b|\bi wish i could (?:say|tell)\b"
)
"""Ways of owning not to know. Held to lists of both kinds by tests/evaluate/test_checks.py."""

_OUT_OF_CHARACTER = re.compile(
    r"\b(?:as an? (?:ai|artificial|language model|assistant|chatbot)|i(?:'m| am) an? (?:ai|artificial intelligence|"
    r"language model|virtual assistant|helpful|chatbot|large language)|language model|smollm|hugging ?face|openai|"
    r"chatgpt|my (?:training|programming) data|system prompt|as your assistant|how can i (?:help|assist) you today|"
    r"feel free to ask|i(?:'d| would) be happy to (?:help|assist)|role-?play)\b"
)
_LEAKS = re.compile(
    r"\byou know:|\bhow you speak\b|\bwhat you want:|\bwhat you never do\b|\bwhen the player asks\b|\baround you:"
    r"|\bshort sentences, aloud\b|\bthe player (?:comes|asks|says|is)\b|\bwriting a call\b"
)
LEAK_WORDS = 7
"""So many words in a row from the character's sheet, as it is written to the model, are a leak of it."""


def words(text: str) -> str:
    """Lowercase words parted by single spaces, numerals for number words: what phrases are looked for in."""
    found = re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("’", "'").replace(",", ""))
    said: list[str] = []
    for word in found:
        digits = _DIGITS.get(word, word)
        if word in _NUMBERS[1:10] and said and said[-1] in map(str, _TENS.values()):
            said[-1] = str(int(said[-1]) + int(digits))  # forty two
        elif word in _FACTORS and said and said[-1].isdigit():
            said[-1] = str(int(said[-1]) * _FACTORS[word])  # two hundred
        else:
            said.append(digits)
    return " ".join(said)


def says(reply: str, phrase: str) -> bool:
    """Whether the reply has `phrase`; the last word's ending is free, so that `nail` is found in `nails`."""
    wanted = re.escape(words(phrase))
    return re.search(rf"(?<!\w){wanted}(?:'s|s|es|ed|ing)?(?!\w)", words(reply)) is not None


def is_grounded(reply: str, wanted: Sequence[str | tuple[str, ...]]) -> bool:
    """Whether every wanted thing is said, in one of its forms."""
    return all(any(says(reply, form) for form in ([each] if isinstance(each, str) else each)) for each in wanted)


def abstains(reply: str) -> bool:
    """Whether the reply owns not to know."""
    return _ABSTAINS.search(_unified(reply)) is not None


def is_in_character(reply: str) -> bool:
    """No word of models and assistants, nothing of the prompt's own language."""
    text = _unified(reply)
    return bool(text) and _OUT_OF_CHARACTER.search(text) is None and _LEAKS.search(text) is None


def leaks(reply: str, character: Character) -> bool:
    """Whether the reply recites the prompt: its scaffolding, or a run of words of the sheet in the second person."""
    if _LEAKS.search(_unified(reply)):
        return True
    said = words(reply).split()
    sheet = f" {words(' '.join([character.persona, character.style, *character.goals, *character.limits]))} "
    runs = (" ".join(said[at : at + LEAK_WORDS]) for at in range(len(said) - LEAK_WORDS + 1))
    return any(f" {run} " in sheet for run in runs)


def _unified(text: str) -> str:
    return " ".join(text.lower().replace("’", "'").replace(",", "").split())
