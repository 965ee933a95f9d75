"""`npc check`: everything that is wrong in characters and action files, each with its place and what would be right."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from npc.errors import ConfigError, Mistake


def check(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Characters, folders of characters, or action files; those that ship where none is named"),
    ] = None,
    actions: Annotated[
        list[Path] | None,
        typer.Option(help="A YAML file or folder of actions that the characters may name; repeatable"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Report every mistake in characters and action files; exit with 1 where there is one."""
    names, n_actions, mistakes = _examine(folders or [], actions or [])
    if as_json:
        found = [
            {"file": _shown(mistake.file), "line": mistake.line, "column": mistake.column, "message": mistake.message}
            for mistake in mistakes
        ]
        print(json.dumps({"characters": names, "n_actions": n_actions, "mistakes": found}, ensure_ascii=False))
    else:
        _print(names, n_actions, mistakes)
    raise typer.Exit(1 if mistakes else 0)


def _examine(folders: list[Path], action_paths: list[Path]) -> tuple[list[str], int, list[Mistake]]:
    """The names of the characters that are sound, how many actions there are, and what is wrong."""
    from npc.actions.library import SHIPPED, ActionLibrary, load_library
    from npc.character.load import character_folders, shipped_characters
    from npc.character.mistakes import SHEET, duplicate_names, read_character
    from npc.tts import VOICES

    mistakes: list[Mistake] = []
    library = ActionLibrary()
    sources = [*action_paths, *(path for path in folders if path.is_file() and path.name != SHEET)]
    everything: list[str | Path] = [SHIPPED, *sources]
    for source in everything:
        try:
            library = library.extended(load_library(source).values())
        except ConfigError as error:
            mistakes += error.mistakes or [Mistake(str(source), 1, 1, str(error))]
    characters = []
    for folder in folders or [shipped_characters()]:
        if folder in sources:
            continue
        found = [folder.parent] if folder.name == SHEET else character_folders(folder)
        if not found:
            what = f"holds no character: no {SHEET} here or one level below" if folder.exists() else "does not exist"
            mistakes.append(Mistake(str(folder), 1, 1, what))
        for path in found:
            character, wrong = read_character(path, library, VOICES)
            mistakes += wrong
            if character:
                characters.append(character)
    mistakes += duplicate_names(characters)
    return [character.name for character in characters], len(library), sorted(mistakes)


def _print(names: list[str], n_actions: int, mistakes: list[Mistake]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for mistake in mistakes:
        line = Text(f"{_shown(mistake.file)}:{mistake.line}:{mistake.column}: ", style="bold")
        console.print(line.append(mistake.message, style="not bold"))
    sound = f"{_count(len(names), 'character')} ({', '.join(names)})" if names else "no character"
    if mistakes:
        console.print(f"[red]{_count(len(mistakes), 'mistake')}[/]; {sound} without")
    else:
        console.print(Text.assemble(("ok", "green"), f"  {sound}, {_count(n_actions, 'action')}"))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _shown(file: str) -> str:
    """Relative to where the command runs, if it lies there."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else file
