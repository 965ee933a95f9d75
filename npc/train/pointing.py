"""Exchanges in which the player points back, or points with a hand, at what is to be done or what to do it with."""

import re
from dataclasses import replace

from npc.actions import PLAYER, Parameter
from npc.feeling import Heart
from npc.moment import remember
from npc.state import Exchange, SessionState
from npc.train.notation import fill, slots
from npc.train.stage import Request, make_request, spoken
from npc.train.writer import Draft, Writer, described
from npc.world import Entity

_SPOKEN_OF = (
    "What is {thing}?", "Tell me about {thing}.", "I see {thing} here.", "Is that {thing}?", "{Thing}, is it?",
    "What about {thing}?", "I was thinking of {thing}.", "You have {thing}, I see.",
    "There is something about {thing}.",
    "I like the look of {thing}.", "Is {thing} any good?",
)  # fmt: skip


def reference(writer: Writer) -> Draft | None:
    """Something was spoken of; now the player asks for something to be done with "it"."""
    request = _targeted(writer)
    found = _target(writer, request) if request is not None else None
    if request is None or found is None:
        return None
    authored, _, entity = found
    said = fill(writer.random.choice(_SPOKEN_OF), {"thing": spoken(entity)})
    before = Exchange(said, writer.lead(0.3, described(entity)))
    return Draft(_pointed(writer, request, authored), writer.act(request), (), (before,), recent=(entity.id,))


def talked(writer: Writer) -> Draft | None:
    """The end of a talk that somebody wrote for just this action: what is wanted was said before."""
    stage, random = writer.stage, writer.random
    fitting = [pair for pair in stage.deeds if pair[0].form.talks]
    request = stage.request(random, fitting) if fitting else None
    if request is None:
        return None
    named = set(request.named)
    talks = [
        talk
        for talk in request.deed.form.talks
        if named <= set(slots(whole := " ".join(talk))) and request.suits(whole)
    ]
    if not talks:
        return None
    talk = random.choice(talks)
    to_player = replace(request, words={name: "you" if said == "me" else said for name, said in request.words.items()})
    *players, asked = map(request.phrase, talk[::2])
    history = tuple(map(Exchange, players, map(to_player.phrase, talk[1::2])))
    state = SessionState(stage.scene, Heart.at_first(stage.character.temper))
    for exchange in history:
        remember(state, exchange)
    return Draft(asked, writer.act(request), (), history, history_is_taught=False, recent=state.recent)


def then(writer: Writer) -> Draft | None:
    """Something was done with a thing; now something else is to be done with "it"."""
    first = _targeted(writer)
    found = _target(writer, first) if first is not None else None
    if first is None or found is None:
        return None
    entity = found[2]
    fitting = [
        pair
        for pair in writer.stage.deeds
        if pair[0] is not first.deed and any(entity in p.entities(writer.stage.scene) for p in pair[1].parameters)
    ]
    if not fitting:
        return None
    second = make_request(*writer.random.choice(fitting), writer.stage.scene, writer.random, about=entity)
    authored = next(
        (
            a
            for a, own in zip(second.deed.spec.parameters, second.spec.parameters, strict=True)
            if second.args.get(own.name) == entity.id
        ),
        None,
    )
    if authored is None:
        return None
    before = Exchange(writer.ask(first), writer.act(first))
    return Draft(_pointed(writer, second, authored), writer.act(second), (), (before,), recent=(entity.id,))


def again(writer: Writer) -> Draft | None:
    request = writer.stage.request(writer.random)
    if request is None:
        return None
    before = Exchange(writer.ask(request), writer.act(request))
    return Draft(writer.random.choice(writer.phrasings.again), writer.act(request), (), (before,))


def another(writer: Writer) -> Draft | None:
    """The same with another thing; or not that one, this one; or the other one of two."""
    request = _targeted(writer)
    found = _target(writer, request) if request is not None else None
    if request is None or found is None:
        return None
    _, own, entity = found
    twin = next((pair[1 - pair.index(entity)] for pair in writer.stage.pairs if entity in pair), None)
    if twin is not None and writer.random.random() < 0.7:
        asked, other = writer.random.choice(writer.phrasings.other), twin
    else:
        others = [each for each in own.entities(writer.stage.scene) if each.id not in (entity.id, PLAYER)]
        others = [each for each in others if each not in request.entities]
        if not others:
            return None
        other = writer.random.choice(others)
        asked = writer.random.choice((*writer.phrasings.same, *writer.phrasings.instead))
        asked = fill(asked, {"thing": spoken(other)})
    words = {name: spoken(other) if w == spoken(entity) else w for name, w in request.words.items()}
    entities = tuple(other if each is entity else each for each in request.entities)
    changed = replace(request, args={**request.args, own.name: other.id}, words=words, entities=entities)
    before = Exchange(writer.ask(request), writer.act(request))
    return Draft(asked, writer.act(changed), (), (before,))


def deictic(writer: Writer) -> Draft | None:
    """ "That one": what the player points or looks at."""
    scene = writer.stage.scene
    entity_id = scene.player.pointing_at or scene.player.looking_at
    entity = next((each for each in scene.entities if each.id == entity_id), None)
    fitting = [
        pair for pair in writer.stage.deeds if entity and any(entity in p.entities(scene) for p in pair[1].parameters)
    ]
    if entity is None or not fitting:
        return None
    request = make_request(*writer.random.choice(fitting), scene, writer.random, about=entity)
    authored = next(
        (
            a
            for a, own in zip(request.deed.spec.parameters, request.spec.parameters, strict=True)
            if request.args.get(own.name) == entity.id
        ),
        None,
    )
    if authored is None:
        return None
    pronoun = {"place": "over there", "character": "that person"}.get(
        authored.kind, writer.random.choice(("that one", "this one", "that"))
    )
    asked = _with_pronoun(writer, request, authored, pronoun)
    return Draft(asked, writer.act(request), notes=(f'By "{pronoun}" the player means {entity.id}.',))


def _target(writer: Writer, request: Request) -> tuple[Parameter, Parameter, Entity] | None:
    """One of its targets that is not the player: the parameter as authored, as here, and what it is."""
    targets = [
        (authored, own, entity)
        for authored, own in zip(request.deed.spec.parameters, request.spec.parameters, strict=True)
        if own.kind in ("place", "object", "character") and request.args.get(own.name, PLAYER) != PLAYER
        for entity in request.entities
        if entity.id == request.args[own.name]
    ]
    return writer.random.choice(targets) if targets else None


def _targeted(writer: Writer) -> Request | None:
    fitting = [
        pair
        for pair in writer.stage.deeds
        if any(p.kind in ("place", "object", "character") for p in pair[0].spec.parameters)
    ]
    return writer.stage.request(writer.random, fitting) if fitting else None


def _pointed(writer: Writer, request: Request, authored: Parameter) -> str:
    """Asks for it with "it" in place of the thing."""
    pronoun = {"place": "there", "character": "them"}.get(
        authored.kind, writer.random.choice(("it", "it", "it", "that", "that one"))
    )
    return _with_pronoun(writer, request, authored, pronoun)


def _with_pronoun(writer: Writer, request: Request, authored: Parameter, pronoun: str) -> str:
    """Asks for it with `pronoun` for one of the things."""
    words = {**request.words, authored.name: pronoun}
    asked = writer.ask(replace(request, words=words, entities=()), pointed=authored.name)
    return re.sub(r"\b(?:to|at|in|into|on|onto|from|for|towards?|over to) ((?:over )?there)\b", r"\1", asked)
