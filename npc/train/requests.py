"""Exchanges in which something is to be done: asked for plainly or not, offered, twice, with its outcome, in vain."""

import re

from npc.actions import PLAYER
from npc.state import Exchange, Outcome
from npc.train.notation import as_npc, definite, fill, slots
from npc.train.stage import Request, make_request
from npc.train.writer import Draft, Writer, is_verb_phrase, sentence


def direct(writer: Writer) -> Draft | None:
    request = writer.stage.request(writer.random)
    return None if request is None else Draft(writer.ask(request), writer.act(request))


def indirect(writer: Writer) -> Draft | None:
    stage, random = writer.stage, writer.random
    if random.random() < 0.3:
        request = stage.request(random)
        if request is None or not set(request.words) <= set(slots(request.deed.form.did)) | _unsaid(request):
            return None
        form = request.deed.form
        wish = fill(
            random.choice(writer.phrasings.wish), {"do": request.phrase(form.do), "did": request.phrase(form.did)}
        )
        return Draft(writer.said(sentence(wish)), writer.act(request))
    hinted = [pair for pair in stage.deeds if pair[0].form.hint]
    request = stage.request(random, hinted) if hinted else None
    if request is None:
        return None
    # A hint may leave open what the action needs; then it is no request for just this.
    hints = [hint for hint in request.deed.form.hint if _settles(writer, request, hint)]
    if not hints:
        return None
    return Draft(sentence(request.phrase(random.choice(hints))), writer.act(request))


def _unsaid(request: Request) -> set[str]:
    return {name for name, words in request.words.items() if words == "me"}


def _settles(writer: Writer, request: Request, hint: str) -> bool:
    """Whether nothing that must be chosen is left open by the hint."""
    named = set(slots(hint))
    if not named <= set(request.words) or any(request.words[name] == "me" for name in named):
        return False  # "They will never let me through" would be fine, "Me is freezing" not
    for authored, own in zip(request.deed.spec.parameters, request.spec.parameters, strict=True):
        if authored.name in named or own.name not in request.args:
            continue
        if request.args[own.name] != PLAYER and len(own.targets(writer.stage.scene)) != 1:
            return False
    return True


def offered(writer: Writer) -> Draft | None:
    """The character offers what was spoken of, and the player takes it up or does not."""
    stage, random = writer.stage, writer.random
    request = stage.request(random)
    if request is None:
        return None
    kind = random.choice(("past", "hypothetical", "how"))
    spoken_of = [text for one in request.deed.form.idle for each, text in one.items() if each == kind]
    spoken_of = [text for text in spoken_of if request.suits(text)]
    if not spoken_of:
        return None
    do = as_npc(request.phrase(request.deed.form.do))
    offer = fill(random.choice(writer.phrasings.offer), {"do": do})
    before = Exchange(request.phrase(random.choice(spoken_of)), f"{writer.line(kind)} {offer}")
    if random.random() < 0.35:
        return Draft(random.choice(writer.phrasings.decline), writer.line("negated"), (), (before,))
    return Draft(random.choice(writer.phrasings.accept), writer.act(request), (), (before,))


def two(writer: Writer) -> Draft | None:
    random, stage = writer.random, writer.stage
    first = stage.request(random)
    possible = [pair for pair in stage.deeds if pair[1].is_possible(stage.scene)]
    if first is None or len(possible) < 2:
        return None
    things = [entity for entity in first.entities if entity.id != PLAYER]
    about = things[0] if things and random.random() < 0.35 else None
    second = make_request(*random.choice(possible), stage.scene, random, about=about)
    if first.deed is second.deed:
        return None
    a, b = (verb_phrase(writer, each) for each in (first, second))
    if about is not None and about in second.entities and definite(about.spoken_name) in a and random.random() < 0.6:
        kind = next(own.kind for own in second.spec.parameters if second.args.get(own.name) == about.id)
        pronoun = {"place": "there", "character": "them"}.get(kind, "it")
        b = b.replace(definite(about.spoken_name), pronoun)
        b = re.sub(r"\b(?:to|at|in|into|on|onto|from|for|towards?|over to) there\b", "there", b)
    asked = writer.said(sentence(fill(random.choice(writer.phrasings.join), {"a": a, "b": b})))
    draw = random.random()
    ack = writer.line("ack")
    if draw < 0.3:
        return Draft(asked, f"{ack} {first.call} {second.call}")
    if draw < 0.6:
        return Draft(asked, f"{ack} {first.call} {writer.echo(second)} {second.call}")
    return Draft(asked, f"{writer.echo(first)} {first.call} {writer.echo(second)} {second.call}")


def verb_phrase(writer: Writer, request: Request) -> str:
    """Any way of asking for it that may stand behind \"please\" and \"could you\"."""
    named = set(request.named)
    ways = [t for t in (request.deed.form.do, *request.deed.form.ask) if named <= set(slots(t)) <= set(request.words)]
    ways = [way for way in ways if "," not in way and "?" not in way and is_verb_phrase(way)]
    return request.phrase(writer.random.choice(ways or [request.deed.form.do]))


def outcome(writer: Writer) -> Draft | None:
    """What became of an action: the player asks, asks to try again, or asks for something else."""
    random = writer.random
    request = writer.stage.request(random)
    if request is None:
        return None
    before = (Exchange(writer.ask(request), writer.act(request)),)
    asked = random.choice(writer.phrasings.result)
    draw = random.random()
    if draw < 0.25:
        return Draft(asked, writer.line("done"), (), before, (Outcome(request.call, "done"),))
    reason = random.choice(writer.phrasings.reasons)
    failed = Outcome(request.call, random.choice(("failed", "failed", "refused")), reason)
    if draw < 0.65:
        return Draft(asked, writer.line("failed", reason=own_words(reason)), (), before, (failed,))
    if draw < 0.75:
        return Draft(random.choice(writer.phrasings.again), writer.act(request), (), before, (failed,))
    other = writer.stage.request(random)
    if other is None or other.deed is request.deed:
        return None
    reply = f"{writer.line('failed', reason=own_words(reason))} {writer.echo(other)} {other.call}"
    return Draft(writer.ask(other), reply if random.random() < 0.5 else writer.act(other), (), before, (failed,))


def hindered(writer: Writer) -> Draft | None:
    """The game says that it cannot be done now."""
    request = writer.stage.request(writer.random)
    if request is None:
        return None
    reason = writer.random.choice(writer.phrasings.reasons)
    reply = fill(writer.random.choice(writer.phrasings.hindered), {"reason": own_words(reason)})
    return Draft(writer.ask(request), writer.lead(0.3, reply), notes=(f"You cannot do that now: {reason}.",))


def own_words(reason: str) -> str:
    """What hinders, as the game tells the character, in the character's mouth."""
    return reason.replace("you do not", "I do not").replace("your ", "my ")
