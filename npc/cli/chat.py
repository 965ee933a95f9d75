"""`npc chat`: type to a character and read what it says and does, word by word."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.client import NpcConnection


def chat(
    character: Annotated[str, typer.Argument(help="Whom to talk to.")] = "smith",
    url: Annotated[str | None, typer.Option(help="A server that runs; else one is started.")] = None,
    scene: Annotated[Path | None, typer.Option(help="What is around, as YAML; else the character's own scene.")] = None,
    characters: Annotated[Path | None, typer.Option(help="A folder of characters beside the ones that ship.")] = None,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file, instead of ./npc.toml.")] = None,
    token: Annotated[str | None, typer.Option(help="The server's token, where it wants one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every event as a line of JSON.")] = False,
) -> None:
    """Type with a character in the terminal; a line is a turn, Ctrl-D or an empty line ends."""
    from rich.console import Console

    from npc.cli.hosting import run

    console = Console(stderr=as_json, highlight=False)
    run(_start(character, url, scene, characters, models, config, token, console, as_json), console)


async def _start(
    character: str,
    url: str | None,
    scene: Path | None,
    characters: Path | None,
    models: Path | None,
    config: Path | None,
    token: str | None,
    console: "Console",
    as_json: bool,
) -> None:
    from npc.cli.hosting import server_at
    from npc.cli.scene_file import read_scene
    from npc.client import connect

    around = None if scene is None else read_scene(scene)
    overrides = {"characters_dir": characters, "models_dir": models}
    async with server_at(url, config, overrides, console) as address:
        async with connect(address, character=character, reply="text", token=token, scene=around) as npc:
            await _talk(npc, console, as_json)


async def _talk(npc: "NpcConnection", console: "Console", as_json: bool) -> None:
    if not as_json and sys.stdin.isatty():
        console.print(f"You talk with [bold]{npc.ready.name}[/]. An empty line ends.", style="dim")
    while line := (await asyncio.to_thread(_read_line, sys.stdin.isatty())).strip():
        await npc.say(line)
        await _listen(npc, console, as_json)


def _read_line(is_asked: bool) -> str:
    if is_asked:
        print("> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


async def _listen(npc: "NpcConnection", console: "Console", as_json: bool) -> None:
    """Show one reply as it comes."""
    from npc.events import ActionEvent, ErrorEvent, ReplyEnded, WordsEvent
    from npc.frames import AudioFrame

    async for event in npc:
        if as_json:
            if not isinstance(event, AudioFrame):
                print(event.model_dump_json(), flush=True)
        else:
            match event:
                case WordsEvent(text=text):
                    console.print(text, end=" ", markup=False)
                case ActionEvent(name=name, args=args):
                    given = ", ".join(f"{key}={value}" for key, value in args.items())
                    console.print(f"\\[{name}({given})]", style="magenta", end=" ")
                case ErrorEvent(message=message):
                    console.print(message, style="red", markup=False)
                case ReplyEnded():
                    console.print()
                case _:
                    pass
        match event:
            case ActionEvent(id=action):
                await npc.result(action, "done")  # no game is here to try it
            case ReplyEnded() | ErrorEvent(turn=None):
                return
            case _:
                pass
