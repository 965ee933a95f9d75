"""The pieces that exchanges are written with: how players ask, how characters acknowledge, what stands beside it.

A reply to a request begins with a few words in the character's manner, then
often says what is being done, then calls: the first words are quick to speak,
and what is to be done is named before it is called.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from npc.actions import PLAYER
from npc.state import Exchange, Outcome
from npc.train.corpus import Corpus
from npc.train.forms import PhrasingsForm
from npc.train.lore import Told
from npc.train.notation import as_npc, definite, fill, gerund, slots
from npc.train.stage import Known, Request, Stage
from npc.world import Entity

WHOLE = 0.5
"""Share of requests in words that are authored as a whole, where there are some."""
ADDRESSED = 0.05
"""Share of what is said with the character's name behind it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An exchange before it is a prompt."""

    utterance: str
    reply: str
    knows: tuple[str, ...] = ()
    """Passages that stand in the prompt."""
    history: tuple[Exchange, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()
    """Further sentences of the moment."""
    history_is_taught: bool = True
    """Whether the replies before it are in the character's manner."""
    recent: tuple[str, ...] = ()
    """Ids that were spoken of, latest first: the prompt says what "it" means by them."""
    is_heard: bool = True
    """Whether the utterance could have been spoken, and so misheard."""

    @property
    def is_plain(self) -> bool:
        """Whether the reply follows from the talk alone, so that it is right in a history as well."""
        return not (self.knows or self.outcomes or self.notes)


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes exchanges for one stage."""

    corpus: Corpus
    stage: Stage
    random: Random

    @property
    def phrasings(self) -> PhrasingsForm:
        return self.corpus.phrasings

    def line(self, kind: str, **values: str) -> str:
        return self.stage.line(kind, self.random, **values)

    # The player

    def ask(self, request: Request, pointed: str = "") -> str:
        """Any way of asking for it plainly, whole or built around a verb phrase. `pointed` is a parameter for which the
        words are a pronoun.
        """
        named = set(request.named)
        whole = [t for t in request.deed.form.says if named <= set(slots(t)) and request.suits(t)]
        if pointed:
            whole = [t for t in whole if _takes_pronoun(t, pointed)]
        if whole and self.random.random() < WHOLE:
            text = request.phrase(self.random.choice(whole))
            return text if self.random.random() < 0.8 else self.said(text)
        return self._ask_briefly(request)

    def _ask_briefly(self, request: Request) -> str:
        named = set(request.named)
        do = request.deed.form.do
        templates = [t for t in request.deed.form.ask if named <= set(slots(t)) <= set(request.words)]
        draw = self.random.random()
        # An optional argument is named by the other ways of asking alone.
        if templates and (draw < 0.6 or not named <= set(slots(do))):
            template = self.random.choice(templates)
            phrase = request.phrase(template)
            if self.random.random() < 0.4 or not is_verb_phrase(template):
                return self.said(sentence(phrase))
        else:
            phrase = request.phrase(do)
            if draw > 0.94 and (apart := _set_apart(request)) is not None:
                return self.said(apart)
        return self.said(sentence(fill(self.random.choice(self.phrasings.request), {"do": phrase})))

    def said(self, text: str) -> str:
        """`text` with what people put before and after; now and then by the character's name."""
        text = re.sub(r"\bone times\b", "once", re.sub(r"\btwo times\b", "twice", text))
        if self.random.random() < ADDRESSED and text[-1:] in ".!?":
            text = f"{text[:-1]}, {self.random.choice(self.stage.character.name.split())}{text[-1]}"
        opening = self.random.choice(self.phrasings.openings)
        if opening[:1] != "{" and not re.search(r"[.!?] \{text\}$", opening):
            text = text if re.match(r"I\b|I'", text) else text[:1].lower() + text[1:]
        return opening.replace("{text}", text)

    # The character

    def lead(self, share: float, text: str, details: Collection[str] = ()) -> str:
        """`text`, begun in the character's manner now and then. `details` show whether its first word is a name."""
        if self.random.random() >= share:
            return text
        lead = self.line("lead")
        small = text[:1].lower() + text[1:]
        if lead.endswith((",", ":")) and any(small.startswith(each) for each in details):
            text = small
        return join(lead, text)

    def act(self, request: Request) -> str:
        """Words, then the call; now and then more words."""
        draw = self.random.random()
        if draw < 0.35:
            return f"{self.line('ack')} {request.call}"
        if draw < 0.65:
            return f"{self.line('ack')} {self.echo(request)} {request.call}"
        if draw < 0.9:
            return f"{self.echo(request)} {request.call}"
        after = self.after(request)
        return f"{self.line('ack')} {request.call}{' ' if after else ''}{after}"

    def echo(self, request: Request) -> str:
        """Says what is being done."""
        do = as_npc(request.phrase(request.deed.form.do))
        things = [definite(entity.spoken_name) for entity in request.entities if entity.id != PLAYER]
        values = {"do": do, "doing": gerund(do)} | ({"thing": things[0]} if things else {})
        fitting = [text for text in self.phrasings.echo if set(slots(text)) <= set(values)]
        return fill(self.random.choice(fitting), values)

    def after(self, request: Request) -> str:
        """What is said with just this action, once it is under way."""
        lines = [text for text in request.deed.form.say if set(slots(text)) <= set(request.words)]
        return sentence(request.phrase(self.random.choice(lines))) if lines else ""

    # What stands beside it

    def found_beside(self, utterance: str) -> tuple[str, ...]:
        """What retrieval brings up where nothing was asked: facts that share a word with it, else any."""
        near = [fact for fact in self.stage.facts if shares_word(fact.text, {utterance})]
        n = self.random.choice((1, 1, 2))
        among = near if near and self.random.random() < 0.6 else self.stage.facts
        return tuple(self.passages(self.random.sample(among, min(n, len(among)))))

    def others(self, fact: Known | Told, asked: str, n: int) -> list[Known | Told]:
        """Up to `n` beside `fact`, none of which tells what is asked."""
        others = [other for other in self.stage.facts if other is not fact and not other.answers(asked)]
        return self.random.sample(others, min(n, len(others)))

    def passages(self, facts: Sequence[Known | Told]) -> list[str]:
        """In any order; now and then two facts stand in one passage."""
        texts = [fact.text for fact in facts]
        self.random.shuffle(texts)
        if len(texts) > 1 and self.random.random() < 0.3:
            texts[:2] = [f"{texts[0]} {texts[1]}"]
        return texts


def _set_apart(request: Request) -> str | None:
    """`The black pebble. Move it three squares.`"""
    for name in slots(request.deed.form.do):
        words = request.words.get(name, "")
        if words.startswith("the ") and any(definite(e.spoken_name) == words for e in request.entities):
            rest = fill(request.deed.form.do, {**request.words, name: "it"})
            return f"{words[:1].upper()}{words[1:]}. {sentence(rest)}"
    return None


def _takes_pronoun(template: str, name: str) -> bool:
    """Not "that {thing} over there", and not `{Thing}, please`."""
    slot = f"{{{name}}}"
    return slot in template and not re.search(rf"\b(?:th[aeo]\w*|any|my|your|our|one) {re.escape(slot)}", template)


def is_verb_phrase(template: str) -> bool:
    """Whether "could you" may stand before it: not before `{what} for me` or `a drink`."""
    return re.match(r"\{|(?:an?|the|one)\b", template) is None


def sentence(text: str) -> str:
    """Begins with a capital and ends with a mark, as recognisers write."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text[-1:] in ".!?" else f"{text}."


def join(lead: str, text: str) -> str:
    """`Oh,` + `The well is deep.` → `Oh, the well is deep.`; names keep their capitals."""
    if not lead:
        return text
    if lead.endswith((",", ":")) and re.match(
        r"(The|A|An|It|That|They|He|She|We|You|In|At|On|Not|No|Only|My|By|For|From|Because|Since|Of|To|With)\b", text
    ):
        text = text[:1].lower() + text[1:]
    return f"{lead} {text}"


_SMALL = {"the", "and", "for", "with", "from", "into", "over", "some", "your", "that", "this", "out"}


def content(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]{3,}", text.lower().replace("_", " ")) if word not in _SMALL}


def shares_word(name: str, others: set[str]) -> bool:
    own = content(name)
    return any(own & content(other) for other in others)


def described(entity: Entity) -> str:
    name = definite(entity.spoken_name)
    return f"{name[:1].upper()}{name[1:]}, {entity.description}." if entity.description else f"That is {name}."
