"""What an example is made on: somebody in a scene, what can be done there and is known, and requests that fit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from npc.actions import PLAYER, ActionSpec, render_call
from npc.actions.spec import Args
from npc.character import Character
from npc.train.corpus import Deed, World
from npc.train.forms import CastForm, FactForm, Manner
from npc.train.lore import Told
from npc.train.notation import definite, fill, numeral, single, slots
from npc.world import Entity, Scene

_SUBJECTS = (
    r"(?:'s\b| (?:is|isn't|was|wasn't|has|hasn't|had|does|doesn't|did|can|can't|could|will|won't|would|may|must"
    r"|wants|needs|looks|says|said|stands|sits|waits|keeps|knows|comes|came|goes|went|lies|seems|likes|asks|asked)\b)"
)
"""What follows a subject: nothing that can stand behind "me"."""


@dataclass(frozen=True, slots=True)
class Known:
    """A fact with its details chosen."""

    form: FactForm
    details: dict[str, str]

    @property
    def text(self) -> str:
        return fill(self.form.fact, self.details)

    def question(self, random: Random) -> tuple[str, str]:
        """A question, and a right answer."""
        return fill(random.choice(self.form.ask), self.details), fill(random.choice(self.form.say), self.details)

    def silent(self, random: Random) -> str | None:
        return fill(random.choice(self.form.silent), self.details) if self.form.silent else None

    def answers(self, asked: str) -> bool:
        return asked in (fill(each, self.details) for each in self.form.ask)


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

    @property
    def named(self) -> tuple[str, ...]:
        """Parameters that the player has to name: all but oneself, where it must be somebody."""
        may_be_open = {parameter.name for parameter in self.deed.spec.parameters if parameter.is_optional}
        return tuple(name for name, words in self.words.items() if words != "me" or name in may_be_open)

    def suits(self, template: str) -> bool:
        """Whether everything that it names is given here, and nothing reads "Me was …"."""
        oneself = [name for name, words in self.words.items() if words == "me"]
        is_subject = any(
            f"{{{name[:1].upper()}{name[1:]}}}" in template or re.search(rf"\{{{name}\}}{_SUBJECTS}", template)
            for name in oneself
        )
        return set(slots(template)) <= set(self.words) and not is_subject

    def phrase(self, template: str) -> str:
        for name, words in self.words.items():
            if words in ("one", "1"):
                template = single(template, name)
        return fill(template, self.words)


@dataclass(frozen=True, slots=True)
class Stage:
    world: World
    form: CastForm
    manner: Manner
    character: Character
    scene: Scene
    deeds: tuple[tuple[Deed, ActionSpec], ...]
    facts: tuple[Known | Told, ...]
    traits: tuple[Told, ...] = ()
    """What stands in the sheet and can be asked about."""
    pairs: tuple[tuple[Entity, Entity], ...] = ()
    """Things that differ by one word: the north gate, the south gate."""

    def line(self, kind: str, random: Random, **values: str) -> str:
        """What the character says of this `kind`, in its manner."""
        names = {"name": self.character.name, "role": self.character.role, **values}
        return fill(random.choice(getattr(self.manner, kind)), names)

    def request(self, random: Random, among: Sequence[tuple[Deed, ActionSpec]] | None = None) -> Request | None:
        """A request that can be fulfilled here; None where nothing can be done."""
        possible = [pair for pair in among or self.deeds if pair[1].is_possible(self.scene)]
        return make_request(*random.choice(possible), self.scene, random) if possible else None


def make_request(deed: Deed, spec: ActionSpec, scene: Scene, random: Random, about: Entity | None = None) -> Request:
    """`about` is taken for the first parameter that it fits."""
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
                if about is not None and about in here:
                    entity, about = about, None
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
