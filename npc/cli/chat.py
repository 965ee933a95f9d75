"""`npc chat`: type to a character and read what it says and does, word by word."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.client import NpcConnection
    from npc.events import ServerEvent
    from npc.frames import AudioFrame

REFRESH_S = 0.05


def chat(
    character: Annotated[str, typer.Argument(help="Whom to talk to.")] = "smith",
    url: Annotated[str | None, typer.Option(help="A server that runs; else one is started.")] = None,
    scene: Annotated[Path | None, typer.Option(help="What is around, as YAML; shows the performance in lanes.")] = None,
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
        if around is None or as_json:
            async with connect(address, character=character, reply="text", token=token, scene=around) as npc:
                await _talk(npc, console, _read if not as_json else _print)
        else:
            async with connect(address, character=character, face="visemes", token=token, scene=around) as npc:
                await _talk(npc, console, _watch)


Show = Callable[["NpcConnection", "Console"], Awaitable[None]]


async def _talk(npc: "NpcConnection", console: "Console", show: Show) -> None:
    if not console.stderr and sys.stdin.isatty():
        console.print(f"You talk with [bold]{npc.ready.name}[/]. An empty line ends.", style="dim")
    while line := (await asyncio.to_thread(_read_line, sys.stdin.isatty())).strip():
        await npc.say(line)
        await show(npc, console)


def _read_line(is_asked: bool) -> str:
    if is_asked:
        print("> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


async def _print(npc: "NpcConnection", console: "Console") -> None:
    """One reply, an event a line."""
    from npc.frames import AudioFrame

    async for event in npc:
        if not isinstance(event, AudioFrame):
            print(event.model_dump_json(), flush=True)
        if await _is_over(event, npc):
            return


async def _read(npc: "NpcConnection", console: "Console") -> None:
    """One reply as text, as it comes."""
    from npc.events import ActionEvent, ErrorEvent, ReplyEnded, WordsEvent

    async for event in npc:
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
        if await _is_over(event, npc):
            return


async def _watch(npc: "NpcConnection", console: "Console") -> None:
    """One reply in lanes, as it plays on an imagined loudspeaker."""
    from rich.live import Live

    from npc.cli.lanes import Lanes
    from npc.clock import MonotonicClock
    from npc.events import ErrorEvent
    from npc.frames import AudioFrame
    from npc.playhead import Playhead

    lanes, clock = Lanes(npc.ready.rate_hz), MonotonicClock()
    playhead = Playhead(npc.ready.rate_hz)
    with Live(console=console, auto_refresh=False) as live:

        async def play() -> None:
            while True:
                position = playhead.at(clock.now_ms())
                live.update(lanes.render(position, console.width), refresh=True)
                await asyncio.sleep(REFRESH_S)

        playing = asyncio.create_task(play())
        try:
            async for event in npc:
                if isinstance(event, AudioFrame):
                    if event.pcm:
                        playhead.sent(event.first_sample + len(event.pcm) // 2, clock.now_ms())
                    continue
                lanes.add(event)
                if isinstance(event, ErrorEvent):
                    live.console.print(event.message, style="red", markup=False)
                if await _is_over(event, npc):
                    live.update(lanes.render(playhead.at(clock.now_ms()), console.width), refresh=True)
                    return
        finally:
            playing.cancel()
    console.print()


async def _is_over(event: "ServerEvent | AudioFrame", npc: "NpcConnection") -> bool:
    """Whether the reply is over; says of every action that is begun that it is done, since no game is here to try."""
    from npc.events import ActionCommitted, ErrorEvent, ReplyEnded

    match event:
        case ActionCommitted(id=action):
            await npc.result(action, "done")
        case ReplyEnded() | ErrorEvent(turn=None):
            return True
        case _:
            pass
    return False
