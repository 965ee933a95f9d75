"""Casts one character into one scene: who speaks, in which manner, what is around, what can be done, what is known.

Domain randomisation happens here. Names of actions and parameters, ids of
things, and who plays whom are dealt anew each time, so that a model must read
its prompt and cannot remember a world.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from npc.actions import ActionSpec, Parameter
from npc.character import Character
from npc.train.corpus import Corpus, Deed, World
from npc.train.forms import CastForm
from npc.train.lore import deal, in_first_person
from npc.train.notation import choose_details
from npc.train.stage import Known, Stage
from npc.turn import Voice
from npc.world import Being, Entity, Scene

RECAST = 0.2
_OPAQUE = ("act", "cmd", "do", "skill", "verb", "npc", "fn")

EMOTIONS = (
    "cheerful", "bossy", "amused", "suspicious", "wistful", "angry", "gruff", "proud", "wary", "ashamed", "fond",
    "bright", "curious", "gentle", "playful", "worried", "sad", "afraid", "calm", "grave", "smug", "bored", "tender",
)  # fmt: skip
GESTURES = (
    "shrug", "wipe_brow", "fold_arms", "bow", "point", "wink", "sigh", "clap", "lean_in", "scratch_head", "tip_hat",
    "rub_hands", "step_back", "raise_cup", "stretch", "spread_arms",
)  # fmt: skip


def set_stage(corpus: Corpus, world: World, form: CastForm, random: Random) -> Stage:
    """`form` is one of the world's cast."""
    # Now and then somebody speaks as nobody would have thought: the style in the prompt is what counts.
    is_recast = random.random() < RECAST
    manner = corpus.manners[random.choice(sorted(corpus.manners)) if is_recast else form.manner]
    ids = _Ids(random)
    twins: list[tuple[str, str]] = []
    people = [one for one in world.people if one.name.lower() not in form.name.lower()]
    places = _some(_paired(world.places, twins, random), 2, 7, ids, random, twins)
    objects = _some(_paired(world.objects, twins, random), 2, 8, ids, random, twins)
    characters = _some(people, 0, 4, ids, random)
    places, objects, characters = _unique(places, objects, characters)
    description = random.choice(world.form.scenes)
    scene = Scene(description=description, places=places, objects=objects, characters=characters)
    if random.random() < MOMENTS:
        scene = _momentary(scene, random)
    # Requests for less may be more: actions whose targets are missing stay in the prompt now and then.
    n_deeds = random.randint(3, 10)
    chosen = random.sample(world.deeds, min(n_deeds, len(world.deeds)))
    if random.random() < 0.35:  # a character does things of everywhere too: walking, giving, waving
        others = [deed for other in corpus.worlds if other.id == "everywhere" for deed in other.deeds]
        known = {deed.spec.name for deed in chosen}
        fresh = [deed for deed in others if deed.spec.name not in known]
        chosen += random.sample(fresh, min(random.randint(1, 5), len(fresh)))
        random.shuffle(chosen)
    if random.random() < OPPOSED:  # which of two that undo one another is meant, only the words tell
        pairs_of = [deed for other in corpus.worlds if other.id == "opposites" for deed in other.deeds]
        known = {deed.spec.name for deed in chosen}
        for n in random.sample(range(0, len(pairs_of) - 1, 2), min(random.randint(1, 2), len(pairs_of) // 2)):
            chosen += [deed for deed in pairs_of[n : n + 2] if deed.spec.name not in known]
        random.shuffle(chosen)
    style = random.random()
    deeds: list[tuple[Deed, ActionSpec]] = []
    taken: set[str] = set()
    for deed in chosen:
        spec = _renamed(deed.spec, random, style)
        if spec.name not in taken:
            taken.add(spec.name)
            deeds.append((deed, spec))
    name = random.choice(corpus.phrasings.names) if random.random() < 0.3 else form.name
    traits = tuple(
        deal(each, corpus.words, random)
        for each in random.sample(corpus.traits, min(random.choices((0, 1, 2, 3), (2, 4, 4, 2))[0], len(corpus.traits)))
    )
    if re.search(_AGE, form.persona):
        traits = tuple(trait for trait in traits if not re.search(_AGE, trait.text))
    sentences = [" ".join(form.persona.split()), *(trait.text for trait in traits)]
    random.shuffle(sentences)
    character = Character(
        id="someone",
        folder=Path(),
        name=name,
        role=form.role,
        persona=" ".join(sentences),
        voice=Voice("heart"),
        style=random.choice(manner.style),
        goals=_drawn(form.goals, corpus.phrasings.goals, random),
        limits=_drawn(form.limits, corpus.phrasings.limits, random),
        actions=tuple(spec for _, spec in deeds),
        scene=scene,
        # Read and left alone: what a character feels and shows is decided beside the words.
        emotions=tuple(random.sample(EMOTIONS, random.randint(3, 6))) if random.random() < 0.5 else (),
        gestures=tuple(random.sample(GESTURES, random.randint(2, 4))) if random.random() < 0.4 else (),
    )
    own_facts = [Known(fact, choose_details(fact.fact, random)) for fact in world.form.facts]
    lore = [deal(each, corpus.words, random) for each in random.sample(corpus.lore, min(4, len(corpus.lore)))]
    here = {entity.name: entity for entity in scene.entities}
    pairs = tuple((here[one], here[other]) for one, other in twins if one in here and other in here)
    own = tuple(map(in_first_person, traits))
    return Stage(world, form, manner, character, scene, tuple(deeds), (*own_facts, *lore), own, pairs)


def _drawn(own: Sequence[str], anybodys: Sequence[str], random: Random) -> tuple[str, ...]:
    """None to three, the character's own among them."""
    n = random.choices((0, 1, 2, 3), (3, 3, 3, 1))[0]
    return tuple([*own, *random.sample(anybodys, n)][:n])


class _Ids:
    """Ids as one game might write them all."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._style = random.choices(("plain", "slug", "numbered", "camel", "kebab", "opaque"), (6, 4, 1, 1, 1, 1))[0]
        self._n = random.randint(1, 60)

    def __call__(self, entity: Entity) -> str:
        self._n += self._random.randint(1, 5)
        name = re.sub(r"^(the|an?|some)\s+", "", entity.spoken_name.lower())
        parts = re.findall(r"[a-z0-9]+", name) or ["thing"]
        match self._style:
            case "slug":
                return "_".join(parts)
            case "numbered":
                return f"{parts[-1]}_{self._n:02}"
            case "camel":
                return "".join(part.capitalize() for part in parts)
            case "kebab":
                return "-".join(parts)
            case "opaque":
                return f"e{self._n}"
            case _:
                return entity.id


def _some(
    entities: Sequence[Entity],
    least: int,
    most: int,
    ids: _Ids,
    random: Random,
    together: Sequence[tuple[str, str]] = (),
) -> tuple[Entity, ...]:
    """Of `together` both come or none."""
    n = min(random.randint(least, most), len(entities))
    chosen = random.sample(list(entities), n)
    for pair in together:
        if any(entity.name in pair for entity in chosen):
            chosen += [entity for entity in entities if entity.name in pair and entity not in chosen]
    random.shuffle(chosen)
    renamed: dict[str, Entity] = {}
    for entity in chosen:
        description = entity.description if random.random() < 0.7 else ""
        one = replace_entity(entity, ids(entity), description)
        renamed.setdefault(one.id, one)
    return tuple(renamed.values())


def _unique(*kinds: Sequence[Entity]) -> list[tuple[Entity, ...]]:
    """Of two with one id or one name, in whatever kind, the first stays."""
    seen: set[str] = set()
    kept: list[tuple[Entity, ...]] = []
    for entities in kinds:
        own: list[Entity] = []
        for entity in entities:
            if seen.isdisjoint((entity.id, entity.spoken_name.lower())):
                seen |= {entity.id, entity.spoken_name.lower()}
                own.append(entity)
        kept.append(tuple(own))
    return kept


_AGE = r"You (?:are|turned) (?:\d+|[a-z]+teen|[a-z]+ty(?:-[a-z]+)?|five|six|seven|eight|nine|ten|eleven|twelve)\b"

OPPOSED = 0.3
PAIRED = 0.3
MOMENTS = 0.35
"""Shares of stages where deeds undo one another, where two things differ by one word, where the moment is told."""
MODIFIERS = (
    ("north", "south", "east", "west"),
    ("red", "blue", "green", "white", "black", "yellow"),
    ("left", "right"),
    ("big", "small"),
    ("old", "new"),
    ("first", "second", "third"),
    ("upper", "lower"),
    ("iron", "wooden", "stone"),
    ("long", "short"),
    ("round", "square"),
    ("open", "covered"),
    ("cracked", "whole"),
)
LABELS = (("one", "two", "three", "four"), ("A", "B", "C", "D"), ("seven", "eight", "nine", "twelve"))


def _paired(entities: Sequence[Entity], twins: list[tuple[str, str]], random: Random) -> list[Entity]:
    """Now and then one of the things is two: the lamp becomes the left lamp and the right one, or lamp A and lamp B."""
    known = list(entities)
    fitting = [each for each in known if re.fullmatch(r"(?:the|an?) [a-z ]+", each.name)]
    if not fitting or random.random() > PAIRED:
        return known
    one = random.choice(fitting)
    head = one.name.split()[-1]
    if random.random() < 0.7:
        first, second = random.sample(random.choice(MODIFIERS), 2)
        names = (f"the {first} {head}", f"the {second} {head}")
    else:
        first, second = random.sample(random.choice(LABELS), 2)
        names = (f"{head} {first}", f"{head} {second}")
    twins.append(names)
    made = [
        Entity(id="_".join(re.findall(r"[a-z0-9]+", re.sub("^the ", "", name.lower()))), name=name) for name in names
    ]
    return [each for each in known if each is not one and head not in each.name.split()] + made


_STATES = ("locked", "broken", "hot", "wet", "empty", "full", "dusty", "open", "closed", "damaged", "on fire", "stuck")


def _momentary(scene: Scene, random: Random) -> Scene:
    """With what a game reports of this moment: who is where, holds what, looks at what; how things are."""
    places, objects = scene.places, list(scene.objects)
    characters = [entity.id for entity in scene.characters]
    for n, entity in enumerate(objects):
        draw = random.random()
        if draw < 0.12:
            objects[n] = entity.model_copy(update={"held_by": random.choice(["player", "npc", *characters])})
        elif draw < 0.3:
            objects[n] = entity.model_copy(update={"state": ((random.choice(_STATES).replace(" ", "_"), True),)})
    here = random.choice(places).id if places else None
    seen = [entity.id for entity in scene.entities]
    player = Being(
        distance=random.choice((None, 1.0, 2.0, 4.0, 9.0)),
        at=here if random.random() < 0.4 else None,
        looking_at=random.choice([*seen, "npc"]) if random.random() < 0.3 else None,
        pointing_at=random.choice(seen) if seen and random.random() < 0.25 else None,
    )
    npc = Being(at=here if random.random() < 0.6 else None)
    return scene.model_copy(update={"objects": tuple(objects), "player": player, "npc": npc})


def replace_entity(entity: Entity, entity_id: str, description: str) -> Entity:
    return entity.model_copy(update={"id": entity_id, "description": description})


def _renamed(spec: ActionSpec, random: Random, style: float) -> ActionSpec:
    """The same action as another game might call it. `style` is one number for all of a character's actions."""
    parts = spec.name.split("_")
    if style < 0.6:
        name = spec.name
    elif style < 0.7:
        name = "_".join(reversed(parts))
    elif style < 0.78:
        name = "".join(parts)
    elif style < 0.88:
        name = f"{random.choice(_OPAQUE)}_{spec.name}"
    elif style < 0.94:
        name = f"{random.choice(_OPAQUE)}_{random.randint(1, 99)}"
    else:
        name = parts[0]
    renames = random.random() < 0.3
    parameters: list[Parameter] = []
    for n, parameter in enumerate(spec.parameters):
        alias = parameter.name
        if renames:
            kind = {"enum": "option", "number": "amount", "string": "text"}.get(parameter.kind, parameter.kind)
            alias = random.choice((kind, f"{kind}_{n + 1}", "target" if n == 0 else f"arg{n + 1}"))
        if any(other.name == alias for other in parameters):
            alias = f"{alias}_{n + 1}"
        parameters.append(replace(parameter, name=alias))
    return replace(spec, name=name, parameters=tuple(parameters))
