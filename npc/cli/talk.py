"""`npc talk`: speak with a character, through microphone and loudspeaker or from a file into a file."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.cli.devices import Loudspeaker
    from npc.client import NpcConnection, Reply
    from npc.events import ServerEvent
    from npc.frames import AudioFrame

REPORT_S = 0.1
LISTEN_MS = 2000


def talk(
    character: Annotated[str, typer.Argument(help="Whom to talk to.")] = "smith",
    url: Annotated[str | None, typer.Option(help="A server that runs; else one is started.")] = None,
    wav: Annotated[Path | None, typer.Option(help="Speak this file (WAV or FLAC) instead of a microphone.")] = None,
    out: Annotated[Path, typer.Option(help="With --wav: where the reply goes.")] = Path("reply.wav"),
    characters: Annotated[Path | None, typer.Option(help="A folder of characters beside the ones that ship.")] = None,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file, instead of ./npc.toml.")] = None,
    token: Annotated[str | None, typer.Option(help="The server's token, where it wants one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --wav: print the turn as one JSON object.")] = False,
) -> None:
    """Speak with a character until Ctrl-C."""
    from rich.console import Console

    from npc.cli.hosting import run

    console = Console(stderr=as_json, highlight=False)
    overrides: dict[str, object] = {"characters_dir": characters, "models_dir": models}
    if wav is not None:
        run(_speak_file(character, url, wav, out, config, overrides, token, console, as_json), console)
    else:
        run(_converse(character, url, config, overrides, token, console), console)


async def _speak_file(
    character: str,
    url: str | None,
    wav: Path,
    out: Path,
    config: Path | None,
    overrides: dict[str, object],
    token: str | None,
    console: "Console",
    as_json: bool,
) -> None:
    from npc.audio.files import read_audio, write_audio
    from npc.cli.hosting import check_folder_of, server_at
    from npc.client import connect
    from npc.turn import HEARING_RATE_HZ

    audio, _ = read_audio(wav, HEARING_RATE_HZ)
    check_folder_of(out)
    async with server_at(url, config, overrides, console) as address:
        async with connect(address, character=character, token=token) as npc:
            speaking = asyncio.create_task(npc.stream_speech(audio, HEARING_RATE_HZ, silence_ms=LISTEN_MS))
            reply = await npc.reply(wait_until="received")
            await speaking
    if len(reply.audio):
        write_audio(out, reply.audio, reply.rate_hz)
    if as_json:
        print(_as_json(reply, out))
        return
    console.print(f"you    {reply.transcript}", markup=False)
    console.print(f"{character}  {reply.text}", markup=False)
    for action in reply.actions:
        console.print(f"       {action.name}({', '.join(f'{k}={v}' for k, v in action.args.items())})", style="magenta")
    if reply.error is not None:
        console.print(reply.error.message, style="red", markup=False)
    if len(reply.audio):
        console.print(f"{len(reply.audio) / reply.rate_hz:.1f} s of speech: {out}", style="dim")


def _as_json(reply: "Reply", out: Path) -> str:
    import json

    return json.dumps(
        {
            "transcript": reply.transcript,
            "reply": reply.text,
            "actions": [{"name": a.name, "args": a.args, "sample": a.sample} for a in reply.actions],
            "passages": [passage.model_dump() for passage in reply.passages],
            "voice_to_voice_ms": reply.metrics and reply.metrics.voice_to_voice_ms,
            "ending": reply.ending,
            "wav": str(out) if len(reply.audio) else None,
        },
        ensure_ascii=False,
    )


async def _converse(
    character: str,
    url: str | None,
    config: Path | None,
    overrides: dict[str, object],
    token: str | None,
    console: "Console",
) -> None:
    from npc.cli.devices import Loudspeaker, input_format, microphone, sounddevice
    from npc.cli.hosting import server_at
    from npc.client import connect

    device = sounddevice()
    audio = input_format(device)
    async with server_at(url, config, overrides, console) as address:
        async with connect(address, character=character, token=token, audio=audio) as npc:
            console.print(f"You speak with [bold]{npc.ready.name}[/]; use headphones. Ctrl-C ends.", style="dim")
            with Loudspeaker(device, npc.ready.rate_hz) as loudspeaker:

                async def speak() -> None:
                    async for block in microphone(device, audio.rate_hz):
                        await npc.send_audio(block)

                async def report() -> None:
                    while True:
                        await asyncio.sleep(REPORT_S)
                        if loudspeaker.turn:
                            await npc.playback(loudspeaker.turn, loudspeaker.position)

                async with asyncio.TaskGroup() as tasks:
                    background = [tasks.create_task(speak()), tasks.create_task(report())]
                    async for event in npc:
                        await _take(event, npc, loudspeaker, console)
                    for task in background:
                        task.cancel()


async def _take(
    event: "ServerEvent | AudioFrame",
    npc: "NpcConnection",
    loudspeaker: "Loudspeaker",
    console: "Console",
) -> None:
    """Play and print one thing that the server said."""
    from npc.events import (
        ActionCommitted,
        ActionEvent,
        ErrorEvent,
        ReplyEnded,
        ReplyHushed,
        ReplyResumed,
        TranscriptEvent,
        TurnMetrics,
        WordsEvent,
    )
    from npc.frames import AudioFrame

    match event:
        case AudioFrame():
            loudspeaker.play(event)
        case ReplyHushed():
            loudspeaker.hold(True)
        case ReplyResumed():
            loudspeaker.hold(False)
        case ReplyEnded(reason=reason):
            if reason != "done":
                loudspeaker.stop()
            console.print()
        case TranscriptEvent(text=text, is_final=True) if text:
            console.print(f"you: {text}", style="dim", markup=False)
        case WordsEvent(text=text):
            console.print(text, end=" ", markup=False)
        case ActionEvent(name=name, args=args):
            console.print(f"\\[{name}({', '.join(f'{k}={v}' for k, v in args.items())})]", style="magenta", end=" ")
        case ActionCommitted(id=action):
            await npc.result(action, "done")  # no game is here to try it
        case TurnMetrics(voice_to_voice_ms=took_ms) if took_ms is not None:
            console.print(f"({took_ms:.0f} ms)", style="dim", end=" ")
        case ErrorEvent(message=message):
            console.print(message, style="red", markup=False)
        case _:
            pass
