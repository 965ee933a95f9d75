"""Finds what is wrong in a character's folder: all of it at once, each with its place and what would be right.

What the form alone cannot know is judged here: whether voices, actions and
knowledge files exist, whether names are taken, whether the example replies
could be given.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from npc.actions.declare import read_actions
from npc.actions.expression import expressions
from npc.actions.library import ActionLibrary
from npc.actions.markup import Rejected, ReplyParser
from npc.actions.spec import ActionSpec
from npc.character.character import Character, Example
from npc.character.form import CharacterForm, SceneForm
from npc.errors import ConfigError, Mistake
from npc.feeling.emotions import EMOTIONS, Mix, blended
from npc.feeling.mood import Rule, Temper
from npc.feeling.words import TONES
from npc.sheet import KeyPath, Sheet, did_you_mean, not_utf8
from npc.tts import VOICES, timbre_of
from npc.turn import Sampling, Voice
from npc.world import Scene

SHEET = "character.yaml"
OWN_ACTIONS = "actions.yaml"
"""Actions that this character alone may name."""

MAX_KNOWLEDGE_BYTES = 1_000_000


def check_character(folder: Path, library: ActionLibrary, voices: Collection[str]) -> list[Mistake]:
    """Every mistake in the folder, by file and line; an empty list is a character that works."""
    return read_character(folder, library, voices)[1]


def read_character(
    folder: Path, library: ActionLibrary, voices: Collection[str]
) -> tuple[Character | None, list[Mistake]]:
    """The character, or None and why not."""
    return _Reading(folder, library, voices).read()


def duplicate_names(characters: Iterable[Character]) -> list[Mistake]:
    """Characters that share an id or a name: players could not tell whom they call."""
    mistakes: list[Mistake] = []
    kinds: tuple[tuple[str, Callable[[Character], str]], ...] = (
        ("id", lambda character: character.id),
        ("name", lambda character: character.name.casefold()),
    )
    known = list(characters)
    for kind, key in kinds:
        first: dict[str, Character] = {}
        for character in known:
            other = first.setdefault(key(character), character)
            if other is not character:
                file = character.folder / SHEET
                shown = character.id if kind == "id" else character.name
                sheet = Sheet.read(file)
                sheet.blame((kind,), f"{kind} '{shown}' is taken by {other.folder / SHEET}; rename one")
                mistakes += sheet.mistakes
    return mistakes


@dataclass(slots=True)
class _Reading:
    """One pass over one folder, gathering mistakes."""

    folder: Path
    library: ActionLibrary
    voices: Collection[str]

    def read(self) -> tuple[Character | None, list[Mistake]]:
        if not self.folder.is_dir():
            return None, [Mistake(str(self.folder), 1, 1, f"there is no such folder; one with a {SHEET} is wanted")]
        sheet = Sheet.read(self.folder / SHEET)
        character_id = self.folder.resolve().name
        if not _is_id(character_id):
            sheet.blame((), f"folder '{character_id}' is no legal id; use lowercase letters, digits, - and _")
        library, mistakes = self._own_library()
        form = sheet.validate(CharacterForm)
        if form is None:
            return None, sorted([*sheet.mistakes, *mistakes])
        voice = Voice(**form.voice.model_dump())
        self._check_voice(sheet, voice)
        actions = _actions(sheet, form, library)
        scene = _scene(sheet, form.scene)
        names = [emotion.name for emotion in form.emotions]
        _refuse_repeats(sheet, ("emotions",), names)
        _refuse_repeats(sheet, ("gestures",), form.gestures)
        own_emotions = _own_emotions(sheet, form)
        temper = _temper(sheet, form, actions)
        examples = _examples(sheet, form, actions, scene)
        knowledge, more = self._knowledge(sheet, form.knowledge)
        mistakes = sorted([*sheet.mistakes, *mistakes, *more])
        if mistakes:
            return None, mistakes
        return Character(
            id=character_id,
            folder=self.folder,
            name=form.name,
            role=form.role,
            persona=form.persona,
            voice=voice,
            style=form.style or "",
            greeting=form.greeting or "",
            goals=tuple(form.goals),
            limits=tuple(form.limits),
            emotions=tuple(names),
            own_emotions=own_emotions,
            gestures=tuple(form.gestures),
            reactions=tuple(form.reactions),
            temper=temper,
            actions=actions,
            examples=examples,
            scene=scene,
            knowledge=knowledge,
            turn_taking_overrides=form.turn_taking.model_dump(exclude_unset=True),
            sampling=Sampling(**form.sampling.model_dump()),
        ), []

    def _check_voice(self, sheet: Sheet, voice: Voice) -> None:
        if voice.name not in self.voices:
            sheet.blame(("voice", "name"), f"voice '{voice.name}' is unknown{did_you_mean(voice.name, self.voices)}")
        elif voice.name in VOICES:
            try:
                timbre_of(voice)
            except ConfigError as error:
                sheet.blame(("voice",), str(error))

    def _own_library(self) -> tuple[ActionLibrary, list[Mistake]]:
        file = self.folder / OWN_ACTIONS
        if not file.exists():
            return self.library, []
        actions, mistakes = read_actions(file)
        fresh = [action for action in actions if action.name not in self.library]
        mistakes += [
            Mistake(str(file), 1, 1, f"action '{action.name}' is declared in {self.library[action.name].source} too")
            for action in actions
            if action.name in self.library
        ]
        return self.library.extended(fresh), mistakes

    def _knowledge(self, sheet: Sheet, named: Sequence[str] | None) -> tuple[tuple[Path, ...], list[Mistake]]:
        """The files that are named or, where none are, every one in knowledge/."""
        files: list[Path] = []
        if named is None:
            files = sorted((self.folder / "knowledge").glob("**/*.md"))
        for n, name in enumerate(named or ()):
            path = ("knowledge", n)
            found = sorted(self.folder.glob(name)) if name and not Path(name).is_absolute() else []
            if not name or Path(name).is_absolute() or ".." in Path(name).parts:
                sheet.blame(path, f"'{name}' is not a path within the character's folder")
            elif not found:
                there = [file.relative_to(self.folder).as_posix() for file in self.folder.glob("**/*.md")]
                sheet.blame(path, f"knowledge file '{name}' is missing{did_you_mean(name, there)}")
            elif any(file in files for file in found):
                sheet.blame(path, f"knowledge file '{name}' is named twice")
            else:
                files += found
        return tuple(files), [mistake for file in files for mistake in _knowledge_mistakes(file)]


def _is_id(name: str) -> bool:
    return 0 < len(name) <= 64 and all(c.isascii() and (c.islower() or c.isdigit() or c in "-_") for c in name)


def _actions(sheet: Sheet, form: CharacterForm, library: ActionLibrary) -> tuple[ActionSpec, ...]:
    _refuse_repeats(sheet, ("actions",), form.actions)
    for n, name in enumerate(form.actions):
        if name not in library:
            sheet.blame(("actions", n), f"there is no action '{name}'{did_you_mean(name, library)}")
    return tuple(library[name] for name in dict.fromkeys(form.actions) if name in library)


def _scene(sheet: Sheet, form: SceneForm) -> Scene:
    lines: dict[str, int] = {}
    for kind in ("places", "objects", "characters"):
        for n, entity in enumerate(getattr(form, kind)):
            path: KeyPath = ("scene", kind, n)
            if sheet.has((*path, "id")):
                path = (*path, "id")
            if entity.id in lines:
                sheet.blame(path, f"id '{entity.id}' stands twice in the scene; first on line {lines[entity.id]}")
            lines.setdefault(entity.id, sheet.line(path))
    if len(lines) < len(form.places) + len(form.objects) + len(form.characters):
        return Scene()
    try:
        return Scene(
            description=form.description or "",
            places=tuple(form.places),
            objects=tuple(form.objects),
            characters=tuple(form.characters),
        )
    except ValueError as error:
        sheet.blame(("scene",), str(error).splitlines()[0])
        return Scene()


def _examples(sheet: Sheet, form: CharacterForm, actions: Sequence[ActionSpec], scene: Scene) -> tuple[Example, ...]:
    for n, example in enumerate(form.examples):
        shown = expressions([emotion.name for emotion in form.emotions], form.gestures)
        parser = ReplyParser([action.unconditional for action in actions], scene, expressions=shown)
        for piece in [*parser.push(example.npc), *parser.flush()]:
            if isinstance(piece, Rejected):
                sheet.blame(("examples", n, "npc"), f"{piece.text} could not be done: {piece.reason}")
    return tuple(Example(example.player, example.npc) for example in form.examples)


def _own_emotions(sheet: Sheet, form: CharacterForm) -> dict[str, Mix]:
    """What the emotions that are not commonly known are made of."""
    own: dict[str, Mix] = {}
    for n, emotion in enumerate(form.emotions):
        path: KeyPath = ("emotions", n)
        if not emotion.like and emotion.name not in EMOTIONS:
            close = did_you_mean(emotion.name, EMOTIONS)
            example = f"{{name: {emotion.name}, like: {{anger: 0.5, joy: 0.2}}}}"
            sheet.blame(path, f"emotion '{emotion.name}' is not known{close} Or say what it is like: {example}")
        unknown = [name for name in emotion.like if name not in EMOTIONS]
        for name in unknown:
            sheet.blame((*path, "like"), f"emotion '{name}' is not known{did_you_mean(name, EMOTIONS)}")
        if emotion.like and not unknown:
            own[emotion.name] = blended(emotion.like)
    return own


def _temper(sheet: Sheet, form: CharacterForm, actions: Sequence[ActionSpec]) -> Temper:
    names = {action.name for action in actions}
    for n, rule in enumerate(form.feeling.rules):
        path: KeyPath = ("feeling", "rules", n)
        if sum(map(bool, (rule.hears, rule.words, rule.action))) != 1:
            sheet.blame(path, "a rule says what it is about with one of hears, words and action")
        elif rule.action and rule.action not in names:
            sheet.blame((*path, "action"), f"'{rule.action}' is none of the actions{did_you_mean(rule.action, names)}")
        elif not (rule.mood or rule.arousal or rule.regard or rule.note):
            sheet.blame(path, "the rule moves nothing; give it mood, arousal, regard or a note")
    feeling = form.feeling
    return Temper(
        feeling.mood,
        feeling.arousal,
        feeling.regard,
        tuple(
            Rule(
                tuple(tone for tone in TONES if tone in rule.hears),
                tuple(rule.words),
                rule.action,
                rule.outcome,
                rule.mood,
                rule.arousal,
                rule.regard,
                rule.note or "",
            )
            for rule in feeling.rules
        ),
        feeling.mood_half_life_s,
        feeling.arousal_half_life_s,
        feeling.regard_half_life_s,
        feeling.contagion,
    )


def _refuse_repeats(sheet: Sheet, path: KeyPath, names: Sequence[str]) -> None:
    for n, name in enumerate(names):
        if name in names[:n]:
            sheet.blame((*path, n), f"'{name}' stands twice; first on line {sheet.line((*path, names.index(name)))}")


def _knowledge_mistakes(file: Path) -> list[Mistake]:
    try:
        data = file.read_bytes()
        if len(data) > MAX_KNOWLEDGE_BYTES:
            message = f"has {len(data):,} bytes; at most {MAX_KNOWLEDGE_BYTES:,} are read: split it"
            return [Mistake(str(file), 1, 1, message)]
        if not data.decode("utf-8-sig").strip():
            return [Mistake(str(file), 1, 1, "the file is empty; write what the character knows, or remove it")]
    except UnicodeDecodeError as error:
        message, line, column = not_utf8(data, error)
        return [Mistake(str(file), line, column, message)]
    except OSError as error:
        return [Mistake(str(file), 1, 1, f"cannot be read: {error.strerror}")]
    return []
