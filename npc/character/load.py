"""Loads characters from their folders: one, or all that there are."""

import importlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from npc.actions.library import ActionLibrary, load_library
from npc.character.character import Character
from npc.character.mistakes import SHEET, duplicate_names, read_character
from npc.errors import CharacterError, Mistake
from npc.sheet import did_you_mean
from npc.tts import VOICES


def shipped_characters() -> Path:
    """The folder of the characters that come with the engine."""
    return Path(importlib.import_module("npc.content.characters").__path__[0])


def character_folders(folder: Path) -> list[Path]:
    """The characters in `folder`, or `folder` itself where it is one."""
    if (folder / SHEET).exists():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{SHEET}"))


def load_character(folder: Path, library: ActionLibrary | None = None, voices: Collection[str] = VOICES) -> Character:
    """Raises CharacterError, which holds every mistake in the folder."""
    character, mistakes = read_character(folder, library or load_library(), voices)
    if character is None:
        raise CharacterError(mistakes=mistakes)
    return character


class Characters(Mapping[str, Character]):
    """Characters by id."""

    def __init__(self, characters: Sequence[Character]) -> None:
        self._characters = {character.id: character for character in characters}

    def __getitem__(self, character_id: str) -> Character:
        """Raises KeyError; `find` says what there is instead."""
        return self._characters[character_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._characters)

    def __len__(self) -> int:
        return len(self._characters)

    def find(self, character_id: str) -> Character:
        """Raises CharacterError that names those there are."""
        try:
            return self._characters[character_id]
        except KeyError:
            message = f"there is no character '{character_id}'{did_you_mean(character_id, self._characters)}"
            raise CharacterError(message) from None


def load_characters(
    folders: Sequence[Path] = (), library: ActionLibrary | None = None, voices: Collection[str] = VOICES
) -> Characters:
    """Those that ship and those in `folders`, each a character or a folder of characters.

    Raises CharacterError with every mistake in all of them.
    """
    library = library or load_library()
    characters: list[Character] = []
    mistakes: list[Mistake] = []
    for folder in (shipped_characters(), *folders):
        found = character_folders(folder)
        if not found and folder in folders:
            mistakes.append(Mistake(str(folder), 1, 1, f"holds no character: no {SHEET} here or one level below"))
        for path in found:
            character, wrong = read_character(path, library, voices)
            mistakes += wrong
            if character:
                characters.append(character)
    mistakes += duplicate_names(characters)
    if mistakes:
        raise CharacterError(mistakes=mistakes)
    return Characters(characters)
