"""Notices that a player asks for an action, for language models that do not call one by themselves.

The utterance is compared, by sentence embeddings, with phrasings that ask for
each known action and with phrasings that only sound like it; names of things
are replaced by stand-ins on both sides, so that nothing depends on the scene
and every phrasing is embedded once. A nomination makes the session compile the
grammar with choice="required": which words and which targets is still the
language model's to say. Precision goes first: an action that nobody asked for
is worse than one that has to be asked for twice.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from npc.actions.conditions import NO_GAUGES, Conditions
from npc.actions.mentions import STAND_INS, names_of
from npc.actions.reference import Referents, TargetKind
from npc.actions.spec import ActionSpec
from npc.world import Scene
from npc.world.scene import PLAYER

Vectors = NDArray[np.float32]

THRESHOLD = 0.05
TOLERANCE = 0.08
"""How much better an action that is unknown to the character or impossible may fit, before the request is taken
for that one."""

REQUEST_WEIGHT = 0.3
REGULARISATION = 3.0
NO_REQUEST_COST = 0.15
NOTHING_TO_TARGET = "there is nothing for it here"
"""Of actions that are not known in this scene at all; nobody can ask for them."""
MAX_SENTENCES = 4

TALK = (
    "hello", "good morning", "goodbye", "thank you", "that is nice", "who are you?", "what is your name?",
    "how are you?", "where are you from?", "what do you do here?", "tell me about this place", "tell me a story",
    "tell me about yourself", "what do you know about it?", "what do you think of the person?",
    "do you like the thing?", "where is the person?", "who made the thing?", "how much does the thing cost?",
    "how old is the place?", "what happened here?", "why did the person do that?", "is it dangerous?", "I don't know",
    "the person told me about the place", "I lost the thing", "there is a thing at the place", "do you have a thing?",
    "is the thing yours?", "give me a moment", "let me think", "take care", "tell the person that I said hello",
    "could you tell me about the thing?", "can you explain it to me?", "I wonder who did that", "you gave good advice",
    "everybody says so", "can you swim?", "have you ever been to the place?", "what should I do?", "are you afraid?",
)  # fmt: skip
"""What players say that asks for nothing to be done."""

_QUESTION_OR_REPORT = re.compile(
    r"(who|whose|what|why|when|where|which|how(?! about)|did|do|does|is|are|was|were|has|have you|had|am|if|maybe|"
    r"i|he|she|they|we|it|my|your|this|that|there|thanks?|somebody|someone)\b"
)
_WISH = re.compile(r"(i|we)('d| would| want| need|'ll (take|buy|have))\b|i wish\b|have (a|some)\b")
_NEGATION = re.compile(r"\b(don't|do not|doesn't|never|didn't|can't|cannot|won't|wouldn't|not)\b")
_ASKED_NOT_TO = re.compile(r"^don't (move|stop)\b|\b(if|why) you (don't|can't)\b")
_CLAUSES = re.compile(r",?\s+(?:and then|and|then)\s+", re.I)
_OPENING = re.compile(r"^(please|now|hey|okay|ok|well|so|and|but|then|just|oh|ah|yes|sir|friend|[a-z]+,)[\s,]+")


class Embedder(Protocol):
    async def embed(self, texts: Sequence[str], /) -> Vectors:
        """float32 [len(texts), n], rows of length 1."""
        ...


@dataclass(frozen=True, slots=True)
class Nomination:
    names: tuple[str, ...]
    """Actions that were asked for; more than one where they fit alike."""
    targets: Mapping[TargetKind, tuple[str, ...]]
    """What may stand for each kind: what was named, or the player; kinds that are missing are free."""
    score: float
    margin: float
    """Over the next action that the character could do."""
    hindrance: str = ""
    """Why what is asked for cannot be done now, in words for the prompt. `names` is empty then: the reply is words."""


class Nominator:
    """Knows the phrasings of many actions; shared by all sessions. `build` makes one."""

    def __init__(
        self, actions: Sequence[ActionSpec], embedder: Embedder, asking: Sequence[Vectors], other: Vectors
    ) -> None:
        self._embedder = embedder
        self._actions = {action.name: action for action in actions}
        self._asking = {action.name: vectors for action, vectors in zip(actions, asking, strict=True)}
        self._other = other
        self._request = _request_direction(np.concatenate([*asking, other[:0]]), other)

    @classmethod
    async def build(
        cls, actions: Collection[ActionSpec], embedder: Embedder, keeper: Embedder | None = None
    ) -> "Nominator":
        """Embed the phrasings of `actions`: a few hundred short texts, through `keeper` if one keeps vectors on disk.

        Actions without examples are never nominated.
        """
        known = [action for action in actions if action.examples]
        asking = [_phrasings(action, action.examples) for action in known]
        other = [text for action in known for text in _phrasings(action, action.counter_examples)] + list(TALK)
        vectors = await (keeper or embedder).embed([text.lower() for texts in (*asking, other) for text in texts])
        edges = np.cumsum([len(texts) for texts in asking])
        *parts, rest = np.split(vectors, edges)
        return cls(known, embedder, parts, rest)

    def of(self, actions: Sequence[ActionSpec]) -> "OwnNominator":
        """A nominator for somebody who can do `actions`."""
        return OwnNominator(self, tuple(actions))

    async def nominate(
        self,
        utterance: str,
        actions: Sequence[ActionSpec],
        scene: Scene,
        gauges: Mapping[str, float] = NO_GAUGES,
        recent: Sequence[str] = (),
    ) -> Nomination | None:
        """The action of `actions` that the player asks for, or None where that is not clear.

        `recent`: ids that were spoken of, latest first, which "it" and "him" may mean (`npc.actions.reference`).
        """
        if not self._actions or not actions:
            return None
        names = names_of(scene)
        referents = Referents(scene, recent)
        mentions = [names.find(sentence, referents) for sentence in _sentences(utterance)]
        if not mentions:
            return None
        vectors = await self._embedder.embed([mention.text for mention in mentions])
        conditions = Conditions(scene, gauges)
        best: Nomination | None = None
        for mention, vector in zip(mentions, vectors, strict=True):
            found = self._judge(mention.text, vector, mention.targets, actions, conditions)
            if found is not None and (best is None or found.score > best.score):
                best = found
        return best

    def _judge(
        self,
        text: str,
        vector: NDArray[np.float32],  # [n]
        targets: Mapping[TargetKind, tuple[str, ...]],
        actions: Sequence[ActionSpec],
        conditions: Conditions,
    ) -> Nomination | None:
        fit = {name: float((asking @ vector).max()) for name, asking in self._asking.items()}
        named = [action for action in actions if action.name in fit and _names_enough(action, targets)]
        hindrances = {action.name: _hindrance(conditions, action, targets) for action in named}
        known = [name for name, hindrance in hindrances.items() if hindrance != NOTHING_TO_TARGET]
        if not known:
            return None
        known.sort(key=lambda name: -fit[name])
        chosen = known[0]
        if fit[chosen] < max(fit.values()) - TOLERANCE:
            return None
        contrast = fit[chosen] - float((self._other @ vector).max())
        request = float(self._request[:-1] @ vector + self._request[-1])
        score = contrast + REQUEST_WEIGHT * request - (NO_REQUEST_COST if _asks_nothing(text) else 0.0)
        if score < THRESHOLD:
            return None
        margin = fit[chosen] - fit[known[1]] if len(known) > 1 else 1.0
        if hindrance := hindrances[chosen]:
            return Nomination((), {}, score, margin, hindrance)
        return Nomination((chosen,), _narrowed(self._actions[chosen], targets), score, margin)


@dataclass(frozen=True, slots=True)
class OwnNominator:
    """What one character needs of the shared `Nominator`."""

    shared: Nominator
    actions: tuple[ActionSpec, ...]

    async def nominate(
        self,
        utterance: str,
        scene: Scene,
        gauges: Mapping[str, float] = NO_GAUGES,
        recent: Sequence[str] = (),
    ) -> Nomination | None:
        return await self.shared.nominate(utterance, self.actions, scene, gauges, recent)


def mentioned(utterance: str, scene: Scene) -> tuple[str, ...]:
    """The ids that an utterance names, in its order: what a pronoun may mean from now on."""
    return names_of(scene).find(utterance).in_order


def _phrasings(action: ActionSpec, examples: Sequence[str]) -> list[str]:
    """Examples with stand-ins for their slots: "walk to the {place}" → "walk to the place"."""
    texts = []
    for text in examples:
        for parameter in action.parameters:
            kind = parameter.kind
            name = STAND_INS[kind] if kind in ("place", "object", "character") else parameter.name
            text = text.replace(f"the {{{parameter.name}}}", f"{{{parameter.name}}}")
            text = text.replace(f"{{{parameter.name}}}", f"the {name}")
        texts.append(text)
    return texts


def _request_direction(asking: Vectors, other: Vectors) -> NDArray[np.float64]:
    """Ridge regression of 1 on requests and -1 on the rest: [n + 1], the last the constant."""
    inputs = np.concatenate([asking, other]).astype(np.float64)
    inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
    labels = np.concatenate([np.ones(len(asking)), -np.ones(len(other))])
    gram = inputs @ inputs.T + REGULARISATION * np.eye(len(inputs))
    weights: NDArray[np.float64] = inputs.T @ np.linalg.solve(gram, labels)
    return weights


def _sentences(utterance: str) -> list[str]:
    """The last sentences, and of a request its parts as well: "walk to the well, and tell me how deep it is"."""
    parts = re.split(r"(?<=[.!?])\s+", utterance.strip()[:1000])
    sentences = [part for part in parts if re.search(r"\w", part)][-MAX_SENTENCES:]
    requests = [sentence for sentence in sentences if not _asks_nothing(sentence.lower())]
    clauses = [_CLAUSES.split(request) for request in requests]
    return [*sentences, *(part for parts in clauses if len(parts) > 1 for part in parts if len(part.split()) > 1)]


def _asks_nothing(text: str) -> bool:
    """Questions, reports and negations by their form, to which embeddings are nearly blind."""
    previous = ""
    while text != previous:
        previous, text = text, _OPENING.sub("", text)
    if _WISH.match(text) and not _NEGATION.search(text):
        return False
    if _QUESTION_OR_REPORT.match(text):
        return True
    return bool(_NEGATION.search(text)) and not _ASKED_NOT_TO.search(text)


def _names_enough(action: ActionSpec, targets: Mapping[TargetKind, tuple[str, ...]]) -> bool:
    """Targets that every phrasing of the action names have to be named."""
    return all(
        parameter.is_optional
        or parameter.kind not in ("place", "object", "character")
        or parameter.kind in targets
        or not all(f"{{{parameter.name}}}" in example for example in action.examples)
        for parameter in action.parameters
    )


def _hindrance(conditions: Conditions, action: ActionSpec, targets: Mapping[TargetKind, tuple[str, ...]]) -> str:
    """What is in the way of doing it, with something that was named where something was; "" where nothing is."""
    if not action.is_possible(conditions.scene):
        return NOTHING_TO_TARGET
    for parameter in action.parameters:
        named = next((ids for kind, ids in targets.items() if kind == parameter.kind), ())
        if not parameter.is_optional and named and set(named).isdisjoint(conditions.targets(action, parameter)):
            return conditions.unfit(action, parameter, named[0]) or NOTHING_TO_TARGET
    return conditions.unmet(action) or ""


def _narrowed(
    action: ActionSpec, targets: Mapping[TargetKind, tuple[str, ...]]
) -> Mapping[TargetKind, tuple[str, ...]]:
    kinds = {parameter.kind for parameter in action.parameters}
    narrowed = {kind: ids for kind, ids in targets.items() if kind in kinds}
    if "character" in kinds and "character" not in narrowed:
        narrowed["character"] = (PLAYER,)
    return narrowed
