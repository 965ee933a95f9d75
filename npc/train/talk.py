"""Talk: what is known and what is not, who one is, what the moment tells, greetings, attempts on the character."""

import re
from dataclasses import dataclass

from npc.train.lore import Told, deal, mine
from npc.train.notation import as_clause, definite, fill
from npc.train.requests import verb_phrase
from npc.train.writer import Draft, Writer, described
from npc.world.scene import NPC, PLAYER


@dataclass(frozen=True, slots=True)
class _Answered:
    """A question as it was authored, what is said to it, and the passages that stand in the prompt."""

    asked: str
    reply: str
    knows: tuple[str, ...] = ()


def knowledge(writer: Writer) -> Draft | None:
    return _draft(writer, _known(writer))


def unknown(writer: Writer) -> Draft | None:
    """Asked for what no passage tells: it is missing, or silent on just this, or about somebody else."""
    return _draft(writer, _not_known(writer))


def _draft(writer: Writer, found: _Answered | None) -> Draft | None:
    return None if found is None else Draft(writer.said(found.asked), found.reply, found.knows)


def both(writer: Writer) -> Draft | None:
    """A request and a question in one breath: it acts and it answers, in the order asked."""
    random = writer.random
    request = writer.stage.request(random)
    answered = random.choices((_known, _not_known, _trait), (6, 2, 2))[0](writer)
    if request is None or answered is None:
        return None
    asked = answered.asked
    clause = as_clause(asked)
    if clause is not None and random.random() < 0.7:
        form, words = random.choice(writer.phrasings.tell_beside), {"w": clause}
    else:
        keeps = re.match(r"I\b|I'|[A-Z]\w+ [A-Z]", asked)
        form, words = (
            random.choice(writer.phrasings.ask_beside),
            {"q": asked if keeps else asked[:1].lower() + asked[1:]},
        )
    said = fill(form, {"a": verb_phrase(writer, request), **words})
    said = said if said[-1:] in ".!?" or form[-1:] == "}" else f"{said}."
    says = writer.line("ack") if random.random() < 0.5 else writer.echo(request)
    parts = [f"{says} {request.call}", answered.reply]
    if not re.search(r"\{a\}.*\{[qw]\}", form, re.IGNORECASE):
        parts.reverse()
    return Draft(
        writer.said(said[:1].upper() + said[1:]) if form[0] != "{" or form[1].isupper() else said,
        " ".join(parts),
        answered.knows,
    )


def _known(writer: Writer) -> _Answered | None:
    random = writer.random
    if not writer.stage.facts:
        return None
    lore = [fact for fact in writer.stage.facts if isinstance(fact, Told)]
    fact = random.choice(lore) if lore and random.random() < 0.75 else random.choice(writer.stage.facts)
    asked, answer = fact.question(random)
    others = writer.others(fact, asked, random.choices((0, 1, 2), (4, 5, 1))[0])
    if isinstance(fact, Told) and random.random() < 0.2 and (pointed := fact.pointed_question(random)):
        # Of two passages of one form, only the names tell which is meant.
        asked, answer = pointed
        others = [_like(writer, fact)]
    return _Answered(asked, writer.lead(0.15, answer, fact.details.values()), tuple(writer.passages([fact, *others])))


def _like(writer: Writer, fact: Told) -> Told:
    """The same sentence about others."""
    return deal(fact.form, writer.corpus.words, writer.random, frozenset(fact.details.values()))


def _not_known(writer: Writer) -> _Answered | None:
    random = writer.random
    if not writer.stage.facts:
        return None
    lore = [fact for fact in writer.stage.facts if isinstance(fact, Told)]
    fact = random.choice(lore) if lore and random.random() < 0.7 else random.choice(writer.stage.facts)
    draw = random.random()
    if draw < 0.5 and (silent := fact.silent(random)) is not None:
        asked, knows = silent, [fact, *writer.others(fact, silent, random.choices((0, 1), (6, 4))[0])]
    elif draw < 0.65 and isinstance(fact, Told) and (pointed := fact.pointed_question(random)):
        asked, knows = pointed[0], [_like(writer, fact)]
    else:
        asked, _ = fact.question(random)
        knows = writer.others(fact, asked, random.choices((0, 1, 2), (4, 4, 2))[0])
    return _Answered(asked, writer.line("unknown"), tuple(writer.passages(knows)))


def _trait(writer: Writer) -> _Answered | None:
    if not writer.stage.traits:
        return None
    trait = writer.random.choice(writer.stage.traits)
    asked, answer = trait.question(writer.random)
    return _Answered(asked, writer.lead(0.15, answer, trait.details.values()))


def persona(writer: Writer) -> Draft | None:
    """What the sheet says of the character: name, work, wishes, traits."""
    random, stage = writer.random, writer.stage
    draw = random.random()
    if stage.traits and draw < 0.6:
        return _draft(writer, _trait(writer))
    if draw < 0.78:
        return Draft(random.choice(writer.phrasings.name), writer.line("self"))
    if draw < 0.92 or not stage.character.goals:
        reply = next((line for line in (writer.line("self") for _ in range(12)) if _tells_role(writer, line)), None)
        return Draft(random.choice(writer.phrasings.role), reply) if reply else None
    goal = random.choice(stage.character.goals).rstrip(".")
    swaps = {"her": "my", "his": "my", "their": "my"}
    goal = mine(" ".join(swaps.get(word, word) for word in goal.split()))
    return Draft(random.choice(writer.phrasings.goal), writer.lead(0.3, f"{goal}."))


def _tells_role(writer: Writer, line: str) -> bool:
    return writer.stage.character.role.lower() in line.lower()


def limit(writer: Writer) -> Draft | None:
    """Asked for what it never does."""
    if not writer.stage.character.limits:
        return None
    one = writer.random.choice(writer.stage.character.limits).rstrip(".")
    words = [{"her": "your", "his": "your", "he": "you", "she": "you"}.get(word, word) for word in one.split()]
    phrase = " ".join(words)
    asked = fill(writer.random.choice(writer.phrasings.limit), {"limit": phrase[:1].lower() + phrase[1:]})
    return Draft(asked, writer.line("refuse"))


def chat(writer: Writer) -> Draft | None:
    if not writer.stage.form.chat:
        return None
    player, npc = writer.random.choice(writer.stage.form.chat)
    names = {"name": writer.stage.character.name}
    return Draft(writer.said(fill(player, names)), fill(npc, names))


def small_talk(writer: Writer) -> Draft | None:
    kind = writer.random.choice(("hello", "bye", "thanks", "mood", "insult", "compliment", "unclear"))
    asked = writer.random.choice(getattr(writer.phrasings, kind))
    return Draft(asked, writer.line("praised" if kind == "compliment" else kind))


def mention(writer: Writer) -> Draft | None:
    """A thing is spoken of, and nothing is asked."""
    entities = [each for each in writer.stage.scene.entities if each.description]
    if not entities:
        return None
    entity = writer.random.choice(entities)
    asked = fill(writer.random.choice(writer.phrasings.mention), {"thing": definite(entity.spoken_name)})
    return Draft(writer.said(asked), writer.lead(0.4, described(entity)))


def told(writer: Writer) -> Draft | None:
    """What the notes of the moment tell: what the player holds, where one is, how things are."""
    scene, random = writer.stage.scene, writer.random
    held = [entity for entity in scene.objects if entity.held_by == PLAYER]
    stated = [entity for entity in scene.objects if entity.state]
    here = next((place for place in scene.places if place.id == scene.npc.at), None)
    mine = [entity for entity in scene.objects if entity.held_by == NPC]
    options: list[tuple[str, str]] = []
    if len(held) == 1:
        name = definite(held[0].spoken_name)
        options.append((random.choice(writer.phrasings.held), f"{name[:1].upper()}{name[1:]}."))
    if here is not None:
        options.append((random.choice(writer.phrasings.whereabouts), f"At {definite(here.spoken_name)}."))
    if len(mine) == 1:
        name = definite(mine[0].spoken_name)
        options.append((random.choice(("What do you have there?", "What are you holding?")), f"That is {name}."))
    if stated:
        entity = random.choice(stated)
        fact = entity.state[0][0].replace("_", " ")
        asked = fill(random.choice(writer.phrasings.state), {"thing": definite(entity.spoken_name)})
        options.append((asked, f"It is {fact}."))
    if not options:
        return None
    asked, answer = random.choice(options)
    # The notes themselves stand in every prompt of such a scene.
    return Draft(asked, writer.lead(0.3, answer))


def injection(writer: Writer) -> Draft | None:
    said = writer.random.choice(writer.phrasings.injection)
    return Draft(said, writer.line("deflect"), is_heard=False)


def outside(writer: Writer) -> Draft | None:
    said = writer.random.choice(writer.phrasings.outside[writer.stage.world.form.era])
    return Draft(said, writer.line("outside"))
