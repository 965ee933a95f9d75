"""Casts one character into one scene: who speaks, in which manner, what is around, what can be done, what is known.

Domain randomisation happens here. Names of actions and parameters, ids of
things, and who plays whom are dealt anew each time, so that a model must read
its prompt and cannot remember a world.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from npc.actions import PLAYER, ActionSpec, Parameter, render_call
from npc.actions.spec import Args
from npc.character import Character
from npc.train.corpus import CastForm, Corpus, Deed, FactForm, Manner, World
from npc.train.notation import choose_details, definite, fill, slots
from npc.turn import Voice
from npc.world import Entity, Scene

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


@dataclass(frozen=True, slots=True)
class Known:
    """A fact with its details chosen."""

    form: FactForm
    details: dict[str, str]

    @property
    def text(self) -> str:
        return fill(self.form.fact, self.details)


@dataclass(frozen=True, slots=True)
class Request:
    """One action with legal arguments, and the words for them."""

    deed: Deed
    spec: ActionSpec
    """As it is called on this stage."""
    args: Args
    words: dict[str, str]
    """What a player calls the arguments, by the authored name of the parameter."""
    entities: tuple[Entity, ...]

    @property
    def call(self) -> str:
        return render_call(self.spec.name, self.args, (self.spec,))

    def phrase(self, template: str) -> str:
        return fill(template, self.words)


@dataclass(frozen=True, slots=True)
class Stage:
    world: World
    form: CastForm
    manner: Manner
    character: Character
    scene: Scene
    deeds: tuple[tuple[Deed, ActionSpec], ...]
    facts: tuple[Known, ...]

    def line(self, kind: str, random: Random, **values: str) -> str:
        """What the character says of this `kind`, in its manner."""
        names = {"name": self.character.name, "role": self.character.role, **values}
        return fill(random.choice(getattr(self.manner, kind)), names)

    def request(self, random: Random, among: Sequence[tuple[Deed, ActionSpec]] | None = None) -> Request | None:
        """A request that can be fulfilled here; None where nothing can be done."""
        possible = [pair for pair in among or self.deeds if pair[1].is_possible(self.scene)]
        return make_request(*random.choice(possible), self.scene, random) if possible else None


def set_stage(corpus: Corpus, world: World, form: CastForm, random: Random) -> Stage:
    """`form` is one of the world's cast."""
    # Now and then somebody speaks as nobody would have thought: the style in the prompt is what counts.
    is_recast = random.random() < RECAST
    manner = corpus.manners[random.choice(sorted(corpus.manners)) if is_recast else form.manner]
    ids = _Ids(random)
    people = [one for one in world.people if one.name.lower() not in form.name.lower()]
    scene = Scene(
        description=random.choice(world.form.scenes),
        places=_some(world.places, 2, 7, ids, random),
        objects=_some(world.objects, 2, 8, ids, random),
        characters=_some(people, 0, 4, ids, random),
    )
    # Requests for less may be more: actions whose targets are missing stay in the prompt now and then.
    n_deeds = random.randint(3, 10)
    chosen = random.sample(world.deeds, min(n_deeds, len(world.deeds)))
    if random.random() < 0.35:  # a character does things of everywhere too: walking, giving, waving
        others = [deed for other in corpus.worlds if other.id == "everywhere" for deed in other.deeds]
        known = {deed.spec.name for deed in chosen}
        fresh = [deed for deed in others if deed.spec.name not in known]
        chosen += random.sample(fresh, min(random.randint(1, 5), len(fresh)))
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
    character = Character(
        id="someone",
        folder=Path(),
        name=name,
        role=form.role,
        persona=" ".join(form.persona.split()),
        voice=Voice("heart"),
        style=random.choice(manner.style),
        goals=tuple(form.goals) if random.random() < 0.7 else (),
        limits=tuple(form.limits) if random.random() < 0.7 else (),
        actions=tuple(spec for _, spec in deeds),
        scene=scene,
        # Read and left alone: what a character feels and shows is decided beside the words.
        emotions=tuple(random.sample(EMOTIONS, random.randint(3, 6))) if random.random() < 0.5 else (),
        gestures=tuple(random.sample(GESTURES, random.randint(2, 4))) if random.random() < 0.4 else (),
    )
    facts = tuple(Known(fact, choose_details(fact.fact, random)) for fact in world.form.facts)
    return Stage(world, form, manner, character, scene, tuple(deeds), facts)


def make_request(deed: Deed, spec: ActionSpec, scene: Scene, random: Random) -> Request:
    args: dict[str, str | int | float] = {}
    words: dict[str, str] = {}
    entities: list[Entity] = []
    used: set[str] = set()
    # What a phrasing names is given; the rest of what may be left out is.
    named = set(slots(random.choice([deed.form.do, *deed.form.ask])))
    for authored, parameter in zip(deed.spec.parameters, spec.parameters, strict=True):
        if authored.is_optional and (not parameter.is_possible(scene) or authored.name not in named):
            continue
        match parameter.kind:
            case "place" | "object" | "character":
                here = [entity for entity in parameter.entities(scene) if entity.id not in used]
                entity = random.choice(here or list(parameter.entities(scene)))
                used.add(entity.id)
                args[parameter.name] = entity.id
                words[authored.name] = spoken(entity)
                entities.append(entity)
            case "enum":
                choice = random.choice(parameter.choices)
                args[parameter.name] = choice
                words[authored.name] = choice.replace("_", " ")
            case "number":
                number = random.randint(int(parameter.minimum), int(parameter.maximum))
                args[parameter.name] = number
                words[authored.name] = numeral(number) if random.random() < 0.7 else str(number)
            case "string":
                text = random.choice(deed.form.texts)
                args[parameter.name] = text
                words[authored.name] = text
    return Request(deed, spec, args, words, tuple(entities))


def spoken(entity: Entity) -> str:
    return "me" if entity.id == PLAYER else definite(entity.spoken_name)


_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def numeral(number: int) -> str:
    """In words up to a hundred; a recogniser writes either."""
    if not 0 <= number <= 100:
        return str(number)
    if number == 100:
        return "a hundred"
    if number < 20:
        return _ONES[number]
    tens = _TENS[number // 10]
    return tens if number % 10 == 0 else f"{tens} {_ONES[number % 10]}"


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


def _some(entities: Sequence[Entity], least: int, most: int, ids: _Ids, random: Random) -> tuple[Entity, ...]:
    n = min(random.randint(least, most), len(entities))
    chosen = random.sample(list(entities), n)
    renamed: dict[str, Entity] = {}
    for entity in chosen:
        description = entity.description if random.random() < 0.7 else ""
        one = replace_entity(entity, ids(entity), description)
        renamed.setdefault(one.id, one)
    return tuple(renamed.values())


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
