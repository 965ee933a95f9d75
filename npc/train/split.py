"""Whether training and evaluation are apart: characters, actions, and what players say.

Two utterances are near-duplicates when, with the names of things blanked,
they share most of their word pairs. Held-out material is compared with all
that is authored for training and with what is generated from it.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from npc.character import Character
from npc.evaluate.cases import Case
from npc.train.corpus import Corpus

NEAR = 0.7
"""Share of word pairs in common, above which one utterance is the other in disguise."""
FEW_WORDS = 4
"""Shorter utterances ("Who are you?") belong to everybody."""


@dataclass(frozen=True, slots=True)
class Overlap:
    kind: str
    held_out: str
    training: str

    def __str__(self) -> str:
        return f"{self.kind}: held out '{self.held_out}', trained on '{self.training}'"


def overlaps(corpus: Corpus, characters: Collection[Character], cases: Iterable[Case]) -> Iterator[Overlap]:
    """Everything that training and evaluation share and must not."""
    names = {form.name.casefold() for world in corpus.worlds for form in world.form.cast}
    actions = {deed.spec.name for world in corpus.worlds for deed in world.deeds}
    phrases = {_pairs(text): text for text in _said(corpus)}
    for character in characters:
        if character.name.casefold() in names:
            yield Overlap("character", character.name, character.name)
        for action in character.actions:
            if action.name in actions:
                yield Overlap("action", action.name, action.name)
    index: dict[str, list[frozenset[str]]] = {}
    for pairs in phrases:
        for pair in pairs:
            index.setdefault(pair, []).append(pairs)
    for case in cases:
        pairs = _pairs(case.utterance)
        if len(case.utterance.split()) <= FEW_WORDS:
            continue
        for other in {known for pair in pairs for known in index.get(pair, ())}:
            if likeness(pairs, other) >= NEAR:
                yield Overlap("utterance", case.utterance, phrases[other])


def likeness(a: Collection[str], b: Collection[str]) -> float:
    """Jaccard's index."""
    return len(set(a) & set(b)) / max(1, len(set(a) | set(b)))


def _said(corpus: Corpus) -> Iterator[str]:
    """All that players say in the authored data, slots as they stand."""
    phrasings = corpus.phrasings
    for field in type(phrasings).model_fields:
        lines: object = getattr(phrasings, field)
        if isinstance(lines, dict):
            yield from (text for texts in lines.values() for text in texts)
        elif isinstance(lines, Sequence) and field not in ("names", "openings", "reasons", "echo", "hindered", "goals"):
            yield from (str(text) for text in lines)
    for world in corpus.worlds:
        for deed in world.deeds:
            yield from (deed.form.do, *deed.form.ask, *deed.form.says, *deed.form.hint)
            yield from (text for one in deed.form.idle for text in one.values())
            yield from (text for talk in deed.form.talks for text in talk[::2])
        for fact in world.form.facts:
            yield from (*fact.ask, *fact.silent)
        for form in world.form.cast:
            yield from (player for player, _ in form.chat)
    for lore in (*corpus.lore, *corpus.traits):
        yield from (ask for each in lore.qa for ask in each.ask)
        yield from lore.silent


def _pairs(text: str) -> frozenset[str]:
    """Pairs of neighbouring words, slots blanked."""
    words = re.findall(r"[a-z0-9']+|_", re.sub(r"\{[^}]*\}", " _ ", text.lower()))
    return frozenset(" ".join(words[n : n + 2]) for n in range(max(1, len(words) - 1)))
