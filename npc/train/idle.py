"""Talk that sounds like a request and is none, and requests that cannot be met: nothing is called."""

import re
from dataclasses import replace

from npc.train.casting import LABELS, MODIFIERS
from npc.train.notation import definite, fill, gerund
from npc.train.stage import make_request
from npc.train.writer import WHOLE, Draft, Writer, content, sentence, shares_word


def _about(writer: Writer, kind: str, answer: str) -> Draft | None:
    request = writer.stage.request(writer.random)
    if request is None:
        return None
    whole = [
        text for one in request.deed.form.idle for each, text in one.items() if each == kind and request.suits(text)
    ]
    if whole and writer.random.random() < WHOLE:
        text = request.phrase(writer.random.choice(whole))
        return Draft(text if writer.random.random() < 0.8 else writer.said(text), writer.line(answer))
    do = request.phrase(request.deed.form.do)
    phrase = {"do": do, "did": request.phrase(request.deed.form.did), "doing": gerund(do)}
    said = fill(writer.random.choice(getattr(writer.phrasings, kind)), phrase)
    return Draft(writer.said(sentence(said)), writer.line(answer))


def negated(writer: Writer) -> Draft | None:
    return _about(writer, "negated", "negated")


def past(writer: Writer) -> Draft | None:
    return _about(writer, "past", "past")


def reported(writer: Writer) -> Draft | None:
    return _about(writer, "reported", "reported")


def hypothetical(writer: Writer) -> Draft | None:
    return _about(writer, "hypothetical", "hypothetical")


def how(writer: Writer) -> Draft | None:
    return _about(writer, "how", "how")


def thanked(writer: Writer) -> Draft | None:
    """For something done earlier, or just now."""
    return _about(writer, "thanked", writer.random.choice(("thanks", "praised")))


def absent(writer: Writer) -> Draft | None:
    """An action that is possible, on a thing that is not here; now and then one that is nearly here."""
    scene, random = writer.stage.scene, writer.random
    targets = [
        (deed, spec, n)
        for deed, spec in writer.stage.deeds
        for n, parameter in enumerate(spec.parameters)
        if parameter.kind in ("place", "object") and not parameter.is_optional
    ]
    if not targets:
        return None
    deed, spec, n = random.choice(targets)
    if not spec.is_possible(scene):
        return None
    kind = spec.parameters[n].kind
    near = _nearly([entity.name for entity in (scene.places if kind == "place" else scene.objects)], writer)
    if near is not None and random.random() < 0.5:
        name = near
    else:
        here = {entity.spoken_name for entity in scene.entities}
        worlds = random.sample(writer.corpus.worlds, min(4, len(writer.corpus.worlds)))
        known = [e for w in (writer.stage.world, *worlds) for e in (w.places if kind == "place" else w.objects)]
        missing = [e for e in known if e.spoken_name not in here and not shares_word(e.name, here)]
        if not missing:
            return None
        name = definite(random.choice(missing).spoken_name)
    request = make_request(deed, spec, scene, random)
    words = {**request.words, deed.spec.parameters[n].name: name}
    asked = writer.ask(replace(request, words=words, entities=()))
    return Draft(asked, writer.line("absent", thing=re.sub(r"^the ", "", name)))


def _nearly(names: list[str], writer: Writer) -> str | None:
    """`the north gate` → `the west gate`, `pump A` → `pump D`: a thing of that kind, and not one of these."""
    random = writer.random
    here = {name.lower() for name in names}
    made: list[str] = []
    for name in names:
        words = re.sub(r"^(the|an?) ", "", name).split()
        if len(words) != 2:
            continue
        for group in (*MODIFIERS, *LABELS):
            if words[0] in group or (group in MODIFIERS and words[0].islower() and random.random() < 0.1):
                made += [f"the {other} {words[1]}" for other in group if other != words[0]]
            if words[1] in group:
                made += [f"{words[0]} {other}" for other in group if other != words[1]]
    fresh = [name for name in made if name.lower() not in here and name.lower().removeprefix("the ") not in here]
    return random.choice(fresh) if fresh else None


def cannot(writer: Writer) -> Draft | None:
    """An action that the character does not have; with what is here, or with what is not."""
    random, scene = writer.random, writer.stage.scene
    own = {word for deed, spec in writer.stage.deeds for word in content(f"{deed.spec.name} {deed.form.do}")}
    impossible = random.choice(writer.phrasings.impossible)
    if random.random() < 0.3 and not content(impossible) & own:
        return Draft(writer.said(impossible), writer.line("cannot"))
    worlds = [world for world in writer.corpus.worlds if world is not writer.stage.world and world.deeds]
    for _ in range(8) if worlds else ():
        deed = random.choice(random.choice(worlds).deeds)
        verb = content(deed.form.do.split("{")[0]) | content(deed.spec.name)
        if verb & own or not deed.spec.is_possible(scene):
            continue
        request = make_request(deed, deed.spec, scene, random)
        return Draft(writer.ask(request), writer.line("cannot"))
    return None
