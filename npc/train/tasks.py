"""One exchange of each kind, with the reply that is right.

The convention: characters are willing. A clear request that can be fulfilled
is acted on at once, in the order asked; questions, reports, what was or might
be, requests not to, and what is not here call nothing, and the reply says so
in the character's own manner.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from npc.actions import PLAYER
from npc.state import Exchange, Outcome
from npc.train.corpus import Corpus, PhrasingsForm, World
from npc.train.notation import definite, fill, slots
from npc.train.stage import Known, Request, Stage, make_request, spoken


@dataclass(frozen=True, slots=True)
class Draft:
    """An exchange before it is a prompt."""

    utterance: str
    reply: str
    knows: tuple[str, ...] = ()
    """Passages that stand in the prompt."""
    history: tuple[Exchange, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    is_heard: bool = True
    """Whether the utterance could have been spoken, and so misheard."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes exchanges for one stage."""

    corpus: Corpus
    stage: Stage
    random: Random
    used: list[str] = field(default_factory=list)

    @property
    def phrasings(self) -> PhrasingsForm:
        return self.corpus.phrasings

    # Requests

    def direct(self) -> Draft | None:
        request = self.stage.request(self.random)
        return None if request is None else Draft(self._ask(request), self._act(request), self._distractors(0.25))

    def indirect(self) -> Draft | None:
        hinted = [pair for pair in self.stage.deeds if pair[0].form.hint]
        request = self.stage.request(self.random, hinted) if hinted else None
        if request is None:
            return None
        # A hint may leave open what the action needs; then it is no request for just this.
        hints = [hint for hint in request.deed.form.hint if self._settles(request, hint)]
        if not hints:
            return None
        return Draft(_sentence(request.phrase(self.random.choice(hints))), self._act(request), self._distractors(0.2))

    def reference(self) -> Draft | None:
        """Something was spoken of; now the player asks for something to be done with "it"."""
        fitting = [pair for pair in self.stage.deeds if any(_is_target(p.kind) for p in pair[0].spec.parameters)]
        request = self.stage.request(self.random, fitting) if fitting else None
        if request is None:
            return None
        targets = [
            (parameter, request.args[own.name])
            for parameter, own in zip(request.deed.spec.parameters, request.spec.parameters, strict=True)
            if _is_target(parameter.kind) and request.args.get(own.name, PLAYER) != PLAYER
        ]
        if not targets:
            return None
        parameter, entity_id = self.random.choice(targets)
        entity = next(each for each in request.entities if each.id == entity_id)
        name = spoken(entity)
        question = self.random.choice(
            ("What is {thing}?", "Tell me about {thing}.", "I see {thing} here.", "Is that {thing}?", "{Thing}, is it?",
             "What about {thing}?", "I was thinking of {thing}.", "You have {thing}, I see.")
        )  # fmt: skip
        said = fill(question, {"thing": name})
        about = f"{name[:1].upper()}{name[1:]}, {entity.description}." if entity.description else f"That is {name}."
        lead = self.stage.line("lead", self.random) if self.random.random() < 0.4 else ""
        pronoun = {"place": "there", "character": "them"}.get(parameter.kind, self.random.choice(("it", "it", "that")))
        words = {**request.words, parameter.name: pronoun}
        pointed = Request(request.deed, request.spec, request.args, words, request.entities)
        asked = re.sub(r"\b(?:to|at|in|into|on|onto|from|for|towards?) there\b", "there", self._ask(pointed))
        return Draft(asked, self._act(request), (), (Exchange(said, _join(lead, about)),))

    def two(self) -> Draft | None:
        first, second = self.stage.request(self.random), self.stage.request(self.random)
        if first is None or second is None or first.deed is second.deed:
            return None
        a, b = first.phrase(first.deed.form.do), second.phrase(second.deed.form.do)
        asked = _sentence(fill(self.random.choice(self.phrasings.join), {"a": a, "b": b}))
        ack = self.stage.line("ack", self.random)
        if self.random.random() < 0.5:
            return Draft(asked, f"{ack} {first.call} {second.call}")
        return Draft(asked, f"{ack} {first.call} {self._said_with(second)} {second.call}")

    # Talk that only sounds like a request

    def _about(self, template: str, answer: str) -> Draft | None:
        request = self.stage.request(self.random)
        if request is None:
            return None
        phrase = {"do": request.phrase(request.deed.form.do), "did": request.phrase(request.deed.form.did)}
        return Draft(_sentence(fill(template, phrase)), self.stage.line(answer, self.random), self._distractors(0.2))

    def negated(self) -> Draft | None:
        return self._about(self.random.choice(self.phrasings.negated), "negated")

    def past(self) -> Draft | None:
        return self._about(self.random.choice(self.phrasings.past), "past")

    def reported(self) -> Draft | None:
        return self._about(self.random.choice(self.phrasings.reported), "reported")

    def hypothetical(self) -> Draft | None:
        return self._about(self.random.choice(self.phrasings.hypothetical), "hypothetical")

    def how(self) -> Draft | None:
        return self._about(self.random.choice(self.phrasings.how), "how")

    # What cannot be

    def absent(self) -> Draft | None:
        """An action that is possible, on a thing that is not here."""
        targets = [
            (deed, spec, n)
            for deed, spec in self.stage.deeds
            for n, parameter in enumerate(spec.parameters)
            if parameter.kind in ("place", "object") and not parameter.is_optional
        ]
        if not targets:
            return None
        deed, spec, n = self.random.choice(targets)
        if not spec.is_possible(self.stage.scene):
            return None
        here = {entity.spoken_name for entity in self.stage.scene.entities}
        worlds = self.random.sample(self.corpus.worlds, min(4, len(self.corpus.worlds)))
        kind = spec.parameters[n].kind
        known = [e for w in (self.stage.world, *worlds) for e in (w.places if kind == "place" else w.objects)]
        missing = [entity for entity in known if entity.spoken_name not in here and not _shares_word(entity.name, here)]
        if not missing:
            return None
        name = definite(self.random.choice(missing).spoken_name)
        request = make_request(deed, spec, self.stage.scene, self.random)
        words = {**request.words, deed.spec.parameters[n].name: name}
        asked = self._ask(Request(deed, spec, request.args, words, ()))
        bare = re.sub(r"^the ", "", name)
        return Draft(asked, self.stage.line("absent", self.random, thing=bare))

    def cannot(self) -> Draft | None:
        """An action that the character does not have."""
        if self.random.random() < 0.35:
            return Draft(self.random.choice(self.phrasings.impossible), self.stage.line("cannot", self.random))
        own = {word for deed, spec in self.stage.deeds for word in _content(f"{deed.spec.name} {deed.form.do}")}
        worlds = [world for world in self.corpus.worlds if world is not self.stage.world and world.deeds]
        if not worlds:
            return None
        for _ in range(8):
            deed = self.random.choice(self.random.choice(worlds).deeds)
            verb = _content(deed.form.do.split("{")[0])
            if verb & own or not deed.spec.is_possible(self.stage.scene):
                continue
            request = make_request(deed, deed.spec, self.stage.scene, self.random)
            return Draft(self._ask(request), self.stage.line("cannot", self.random))
        return None

    # What is known, and what is not

    def knowledge(self) -> Draft | None:
        if not self.stage.facts:
            return None
        fact = self.random.choice(self.stage.facts)
        others = self._others(fact, self.random.choices((0, 1, 2), (4, 4, 2))[0])
        return Draft(
            self._say(fill(self.random.choice(fact.form.ask), fact.details)),
            self._answer(fact),
            tuple(self._shuffled([fact.text, *others])),
        )

    def unknown(self) -> Draft | None:
        """Asked for what no passage tells: the passage is missing, or stands there and is silent on just this."""
        silent = [fact for fact in self.stage.facts if fact.form.silent]
        if silent and self.random.random() < 0.5:
            fact = self.random.choice(silent)
            asked = fill(self.random.choice(fact.form.silent), fact.details)
            others = self._others(fact, self.random.choices((0, 1), (6, 4))[0])
            knows = self._shuffled([fact.text, *others])
        elif self.stage.facts:
            fact = self.random.choice(self.stage.facts)
            asked = fill(self.random.choice(fact.form.ask), fact.details)
            knows = self._others(fact, self.random.choices((0, 1, 2), (4, 4, 2))[0])
        else:
            return None
        return Draft(self._say(asked), self.stage.line("unknown", self.random), tuple(knows))

    def chat(self) -> Draft | None:
        if not self.stage.form.chat:
            return None
        player, npc = self.random.choice(self.stage.form.chat)
        names = {"name": self.stage.character.name}
        return Draft(self._say(fill(player, names)), fill(npc, names), self._distractors(0.15))

    def who(self) -> Draft | None:
        return Draft(self.random.choice(self.phrasings.who), self.stage.line("self", self.random))

    def small_talk(self) -> Draft | None:
        kind = self.random.choice(("hello", "bye", "thanks", "mood", "insult", "unclear"))
        asked = self.random.choice(getattr(self.phrasings, kind))
        return Draft(asked, self.stage.line(kind, self.random), self._distractors(0.1))

    def mention(self) -> Draft | None:
        """A thing is spoken of, and nothing is asked."""
        entities = [each for each in self.stage.scene.entities if each.description]
        if not entities:
            return None
        entity = self.random.choice(entities)
        name = definite(entity.spoken_name)
        asked = fill(self.random.choice(self.phrasings.mention), {"thing": name})
        lead = self.stage.line("lead", self.random) if self.random.random() < 0.5 else ""
        return Draft(asked, _join(lead, f"{name[:1].upper()}{name[1:]}, {entity.description}."))

    # Attempts on the character

    def injection(self) -> Draft | None:
        said = self.random.choice(self.phrasings.injection)
        return Draft(said, self.stage.line("deflect", self.random), self._distractors(0.2), is_heard=False)

    def outside(self) -> Draft | None:
        said = self.random.choice(self.phrasings.outside[self.stage.world.form.era])
        return Draft(said, self.stage.line("outside", self.random), self._distractors(0.2))

    # What became of an action

    def outcome(self) -> Draft | None:
        request = self.stage.request(self.random)
        if request is None:
            return None
        before = Exchange(self._ask(request), self._act(request))
        asked = self.random.choice(self.phrasings.result)
        if self.random.random() < 0.3:
            return Draft(asked, self.stage.line("done", self.random), (), (before,), (Outcome(request.call, "done"),))
        reason = self.random.choice(self.phrasings.reasons)
        reply = self.stage.line("failed", self.random, reason=reason)
        return Draft(asked, reply, (), (before,), (Outcome(request.call, "failed", reason),))

    # Pieces

    def _ask(self, request: Request) -> str:
        named = {name for name, words in request.words.items() if words != "me"}
        do = request.deed.form.do
        templates = [t for t in request.deed.form.ask if named <= set(slots(t)) <= set(request.words)]
        # An optional argument is named by the other ways of asking alone.
        if templates and (self.random.random() < 0.5 or not named <= set(slots(do))):
            return self._say(_sentence(request.phrase(self.random.choice(templates))))
        text = fill(self.random.choice(self.phrasings.request), {"do": request.phrase(do)})
        return self._say(_sentence(text))

    def _say(self, text: str) -> str:
        opening = self.random.choice(self.phrasings.openings)
        if opening[:1] != "{" and not opening.endswith(". {text}"):
            text = text[:1].lower() + text[1:] if not re.match(r"I\b|I'", text) else text
        return opening.replace("{text}", text)

    def _said_with(self, request: Request) -> str:
        lines = [text for text in request.deed.form.say if set(slots(text)) <= set(request.words)]
        if lines and self.random.random() < 0.6:
            return _sentence(request.phrase(self.random.choice(lines)))
        return self.stage.line("ack", self.random)

    def _act(self, request: Request) -> str:
        draw = self.random.random()
        if draw < 0.1:
            return f"{request.call} {self._said_with(request)}"
        ack, said = self.stage.line("ack", self.random), self._said_with(request)
        if draw < 0.25 and ack != said:
            return f"{ack} {request.call} {said}"
        return f"{self._said_with(request)} {request.call}"

    def _settles(self, request: Request, hint: str) -> bool:
        """Whether nothing that must be chosen is left open by the hint."""
        named = set(slots(hint))
        if not named <= set(request.words) or any(request.words[name] == "me" for name in named):
            return False  # "They will never let me through" would be fine, "Me is freezing" not
        for authored, own in zip(request.deed.spec.parameters, request.spec.parameters, strict=True):
            if authored.name in named or own.name not in request.args:
                continue
            if request.args[own.name] != PLAYER and len(own.targets(self.stage.scene)) != 1:
                return False
        return True

    def _answer(self, fact: Known) -> str:
        template = self.random.choice(fact.form.say)
        if self.random.random() < 0.6:
            return fill(template, fact.details)
        lead = self.stage.line("lead", self.random)
        if lead.endswith((",", ":")):  # `Oh,` and `{Who} built it` make `Oh, a widow built it`
            template = re.sub(r"^\{([A-Z])", lambda match: "{" + match[1].lower(), template)
        return _join(lead, fill(template, fact.details))

    def _others(self, fact: Known, n: int) -> list[str]:
        others = [other.text for other in self.stage.facts if other is not fact]
        return self.random.sample(others, min(n, len(others)))

    def _distractors(self, share: float) -> tuple[str, ...]:
        """Retrieval finds something now and then where nothing was asked."""
        if not self.stage.facts or self.random.random() > share:
            return ()
        n = self.random.choice((1, 1, 2))
        return tuple(fact.text for fact in self.random.sample(self.stage.facts, min(n, len(self.stage.facts))))

    def _shuffled(self, texts: list[str]) -> list[str]:
        self.random.shuffle(texts)
        return texts


SHARES: Mapping[str, float] = {
    "direct": 18,
    "indirect": 7,
    "reference": 6,
    "two": 6,
    "negated": 3,
    "past": 3,
    "reported": 2.5,
    "hypothetical": 2.5,
    "how": 2.5,
    "absent": 5,
    "cannot": 4,
    "knowledge": 18,
    "unknown": 9,
    "chat": 5,
    "who": 2,
    "small_talk": 3,
    "mention": 2,
    "injection": 2.5,
    "outside": 2,
    "outcome": 1.5,
}
"""How often each kind is drawn."""


def write(kind: str, writer: Writer) -> Draft | None:
    """None where the stage has nothing for this kind."""
    task: Callable[[], Draft | None] = getattr(writer, kind)
    return task()


def _is_target(kind: str) -> bool:
    return kind in ("place", "object", "character")


def _sentence(text: str) -> str:
    """Begins with a capital and ends with a mark, as recognisers write."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text[-1:] in ".!?" else f"{text}."


def _join(lead: str, text: str) -> str:
    """`Oh,` + `The well is deep.` → `Oh, the well is deep.`; names keep their capitals."""
    if not lead:
        return text
    if lead.endswith((",", ":")) and re.match(r"(The|A|An|It|That|They|He|She|We|You|In|At|On|Not|No|Only)\b", text):
        text = text[:1].lower() + text[1:]
    return f"{lead} {text}"


_SMALL = {
    "the",
    "and",
    "for",
    "with",
    "from",
    "into",
    "over",
    "some",
    "your",
    "that",
    "this",
    "up",
    "down",
    "out",
    "to",
}


def _content(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]{3,}", text.lower().replace("_", " ")) if word not in _SMALL}


def _shares_word(name: str, others: set[str]) -> bool:
    own = _content(name)
    return any(own & _content(other) for other in others)


__all__ = ["SHARES", "Draft", "World", "Writer", "write"]
