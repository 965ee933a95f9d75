"""What people wrote for training: manners of speaking, worlds with their people, and what players say.

npc/train/data/README.md explains the files to those who add to them. Every
mistake is reported with its file and line.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from npc.actions import ActionSpec
from npc.errors import ConfigError
from npc.sheet import Sheet
from npc.train.forms import ActionForm, Manner, MoreForm, PhrasingsForm, RequestsForm, WorldForm
from npc.train.lore import LoreFile, LoreForm, check
from npc.train.notation import read_action, read_entity, slots
from npc.world import Entity

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Deed:
    """An action with the words around it."""

    spec: ActionSpec
    form: ActionForm


@dataclass(frozen=True, slots=True)
class World:
    id: str
    form: WorldForm
    places: tuple[Entity, ...]
    objects: tuple[Entity, ...]
    people: tuple[Entity, ...]
    deeds: tuple[Deed, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    manners: Mapping[str, Manner]
    worlds: tuple[World, ...]
    phrasings: PhrasingsForm
    lore: tuple[LoreForm, ...] = ()
    """What anybody may know."""
    traits: tuple[LoreForm, ...] = ()
    """What may stand in anybody's sheet."""
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The word lists of both."""

    def counts(self) -> dict[str, int]:
        """What there is, for the model card."""
        deeds = [deed for world in self.worlds for deed in world.deeds]
        facts = [fact for world in self.worlds for fact in world.form.facts]
        chats = [chat for world in self.worlds for one in world.form.cast for chat in one.chat]
        lines = sum(len(getattr(manner, field)) for manner in self.manners.values() for field in Manner.model_fields)
        return {
            "worlds": len(self.worlds),
            "manners": len(self.manners),
            "characters": sum(len(world.form.cast) for world in self.worlds),
            "actions": len({deed.spec.name for deed in deeds}),
            "requests": sum(len(deed.form.ask) + len(deed.form.says) + len(deed.form.hint) + 1 for deed in deeds),
            "talks": sum(len(deed.form.talks) for deed in deeds),
            "mentions of actions": sum(len(deed.form.idle) for deed in deeds),
            "facts": len(facts),
            "questions": sum(len(fact.ask) + len(fact.silent) for fact in facts),
            "dealt passages": len(self.lore),
            "dealt traits": len(self.traits),
            "questions to these": sum(
                sum(len(each.ask) for each in form.qa) + len(form.silent) for form in (*self.lore, *self.traits)
            ),
            "exchanges": sum(len(fact.ask) * len(fact.say) + len(fact.silent) for fact in facts) + len(chats),
            "lines in a manner": lines,
        }


def load_corpus(folder: Path = DATA) -> Corpus:
    """Raises ConfigError with every mistake in every file."""
    mistakes = []
    manners: dict[str, Manner] = {}
    for file in sorted((folder / "manners").glob("*.yaml")):
        sheet = Sheet.read(file)
        if (manner := sheet.validate(Manner)) is not None:
            manners[file.stem] = manner
        mistakes += sheet.mistakes
    sheet = Sheet.read(folder / "phrasings.yaml")
    phrasings = sheet.validate(PhrasingsForm)
    mistakes += sheet.mistakes
    lore, traits = LoreFile(facts=[]), LoreFile(facts=[])
    for name in ("lore", "traits"):
        if (folder / f"{name}.yaml").exists():
            sheet = Sheet.read(folder / f"{name}.yaml")
            read = sheet.validate(LoreFile) or LoreFile(facts=[])
            lore, traits = (read, traits) if name == "lore" else (lore, read)
            check(sheet, read, {**lore.words, **traits.words})
            mistakes += sheet.mistakes
    worlds: list[World] = []
    for file in sorted((folder / "worlds").glob("*.yaml")):
        sheet = Sheet.read(file)
        form = sheet.validate(WorldForm)
        if form is not None:
            worlds.append(_world(sheet, form, manners))
        mistakes += sheet.mistakes
        requests = folder / "requests" / file.name
        if form is not None and requests.exists():
            more = Sheet.read(requests)
            if (said := more.validate(RequestsForm)) is not None:
                worlds[-1] = _with_more(more, worlds[-1], said)
            mistakes += more.mistakes
    if mistakes or phrasings is None:
        raise ConfigError(mistakes=mistakes)
    return Corpus(
        manners,
        tuple(worlds),
        phrasings,
        tuple(lore.facts),
        tuple(traits.facts),
        {**lore.words, **traits.words},
    )


def _world(sheet: Sheet, form: WorldForm, manners: Mapping[str, Manner]) -> World:
    deeds: list[Deed] = []
    for signature, action in form.actions.items():
        path = ("actions", signature)
        try:
            spec = read_action(signature, action.does)
        except ConfigError as error:
            sheet.blame(path, str(error), is_key=True)
            continue
        _check_slots(sheet, path, spec, action)
        needs = {p.name for p in spec.parameters if not p.is_optional}
        for text in (action.do, action.did):
            if not set(slots(text)) <= needs:
                sheet.blame(path, f"'{text}' names what may be left out; only `ask` does", is_key=True)
        if any(p.kind == "string" for p in spec.parameters) and not action.texts:
            sheet.blame(path, "a text parameter wants `texts`: what may stand in it", is_key=True)
        deeds.append(Deed(spec, action))
    for n, fact in enumerate(form.facts):
        details = set(re.findall(r"\{([a-z][a-z0-9_]*):", fact.fact))
        for text in (*fact.ask, *fact.say, *fact.silent):
            for slot in slots(text):
                if slot not in details:
                    sheet.blame(("facts", n), f"'{text}': {{{slot}}} is no detail of the fact")
    for n, one in enumerate(form.cast):
        if one.manner not in manners:
            sheet.blame(("cast", n, "manner"), f"manner '{one.manner}' is unknown; have {', '.join(manners)}")

    def entities(kind: str, texts: Mapping[str, str]) -> tuple[Entity, ...]:
        made: list[Entity] = []
        for key, text in texts.items():
            try:
                made.append(read_entity(key, text))
            except ValueError as error:
                sheet.blame((kind, key), str(error).splitlines()[0], is_key=True)
        return tuple(made)

    return World(
        id=sheet.file.stem,
        form=form,
        places=entities("places", form.places),
        objects=entities("objects", form.objects),
        people=entities("people", form.people),
        deeds=tuple(deeds),
    )


def _with_more(sheet: Sheet, world: World, requests: RequestsForm) -> World:
    """`world` with what else is said of its actions. Blames actions that it does not have."""
    deeds: list[Deed] = []
    for deed in world.deeds:
        more = requests.root.get(deed.spec.name)
        if more is not None:
            said = {name: [*getattr(deed.form, name), *getattr(more, name)] for name in MoreForm.model_fields}
            deed = Deed(deed.spec, deed.form.model_copy(update=said))
            _check_slots(sheet, (deed.spec.name,), deed.spec, more)
            for text, n in Counter([*deed.form.ask, *deed.form.says, *deed.form.hint]).items():
                if n > 1:
                    sheet.blame((deed.spec.name,), f"'{text}' stands {n} times, here and in worlds/", is_key=True)
        deeds.append(deed)
    for bare in sorted(set(requests.root) - {deed.spec.name for deed in world.deeds}):
        sheet.blame((bare,), f"'{bare}' is no action of worlds/{world.id}.yaml", is_key=True)
    return replace(world, deeds=tuple(deeds))


def _check_slots(sheet: Sheet, path: tuple[str, ...], spec: ActionSpec, said: ActionForm | MoreForm) -> None:
    """Slots stand for parameters, and whoever asks names what must be given."""
    asked, others = [*said.ask, *said.says], [*said.hint, *(text for one in said.idle for text in one.values())]
    if isinstance(said, ActionForm):
        asked.append(said.do)
        others.append(said.did)
    names = {parameter.name for parameter in spec.parameters}
    talks = [" / ".join(talk) for talk in said.talks]
    for talk in said.talks:
        if len(talk) % 2 == 0:
            sheet.blame(path, f"'{talk[-1]}' is the character's line; a talk ends with the player's", is_key=True)
    for text in (*asked, *others, *talks):
        for slot in slots(text):
            if slot not in names:
                sheet.blame(path, f"'{text}': {{{slot}}} is no parameter of {spec.name}", is_key=True)
    # Who is not named is the player.
    needs = {p.name for p in spec.parameters if not p.is_optional and p.kind != "character"}
    for text in (*asked, *talks):
        if open_ := needs - set(slots(text)):
            sheet.blame(path, f"'{text}' leaves {', '.join(sorted(open_))} open", is_key=True)
