"""`npc demo`: a spoken question to a real server, the answer as it comes, and where the time went."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.cli.hosting import Host
    from npc.config import Settings
    from npc.profile.material import SpokenQuestion

LISTEN_MS = 1500
"""Silence after the question, as an open microphone would send it."""


def demo(
    out: Annotated[Path, typer.Option(help="Where the reply goes, as WAV.")] = Path("reply.wav"),
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file, instead of ./npc.toml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Ask the smith something aloud, over the websocket, and hear his answer."""
    from rich.console import Console

    from npc.cli.hosting import run

    console = Console(stderr=as_json, highlight=False)
    run(_demo(out, models, config, console, as_json), console)


async def _demo(out: Path, models: Path | None, config: Path | None, console: "Console", as_json: bool) -> None:
    from npc.cli.hosting import check_folder_of, hosted
    from npc.config import load_settings
    from npc.profile.material import spoken_questions

    settings = load_settings(config, {"models_dir": models})
    check_folder_of(out)
    async with hosted(settings, console) as host:
        found = await _ask(host, spoken_questions()[0], settings, out, console, is_quiet=as_json)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    console.print("\nnext:")
    console.print("  [bold]npc talk smith[/]      speak with him (a microphone, or --wav question.wav)")
    console.print("  [bold]npc chat guide[/]      type instead")
    console.print("  [bold]npc profile[/]         measure many turns")
    console.print("  docs/characters.md    write a character of your own; npc check finds its mistakes")


async def _ask(
    host: "Host", question: "SpokenQuestion", settings: "Settings", out: Path, console: "Console", *, is_quiet: bool
) -> dict[str, object]:
    """Ask, show what comes back, and return it as one object."""
    import time

    from npc.audio.files import read_audio, write_audio
    from npc.client import Reply, connect
    from npc.events import ActionEvent, PassagesEvent, ReplyEnded, SpeechStopped, TranscriptEvent, WordsEvent
    from npc.profile.waterfall import waterfall

    audio, rate_hz = read_audio(question.file)
    name = host.engine.characters[question.character].name
    start_s = time.perf_counter()

    def show(label: str, text: str, style: str = "") -> None:
        if not is_quiet:
            from rich.text import Text

            line = (
                Text(f"{time.perf_counter() - start_s:6.2f} s  ", "dim")
                .append(f"{label:<12}", "dim")
                .append(text, style)
            )
            console.print(line)

    async with connect(host.url, character=question.character, report_playback=True) as npc:
        show("microphone", f"plays {question.file.name}, {len(audio) / rate_hz:.1f} s, to {name}", "dim")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(npc.stream_speech(audio, rate_hz, silence_ms=LISTEN_MS))
            reply = Reply(npc.ready.rate_hz)
            async for event in npc:
                reply.add(event)
                match event:
                    case TranscriptEvent(text=text, is_final=False):
                        show("hears", f"{text} …", "dim")
                    case TranscriptEvent(text=text):
                        show("heard", text, "bold")
                    case SpeechStopped():
                        show("turn", "is over", "dim")
                    case PassagesEvent(passages=passages):
                        for each in passages:
                            show("knows", f"{each.file} › {each.heading} ({each.score:.2f})", "dim")
                    case WordsEvent(text=text):
                        show("says", text, "bold green")
                    case ActionEvent(name=action, args=args):
                        given = ", ".join(f"{key}={value}" for key, value in args.items())
                        show("does", f"{action}({given})", "bold magenta")
                    case ReplyEnded(continued=True):
                        reply = Reply(npc.ready.rate_hz, after_turn=event.turn)
                    case ReplyEnded():
                        break
                    case _:
                        pass
    write_audio(out, reply.audio, reply.rate_hz)
    if reply.metrics is not None and not is_quiet:
        console.print()
        console.print(waterfall(reply.metrics, settings.budget))
        console.print(f"\nthe reply, {len(reply.audio) / reply.rate_hz:.1f} s of {name}'s voice: [bold]{out}[/]")
    return {
        "character": question.character,
        "transcript": reply.transcript,
        "reply": reply.text,
        "actions": [{"name": a.name, "args": a.args, "sample": a.sample} for a in reply.actions],
        "passages": [passage.model_dump() for passage in reply.passages],
        "voice_to_voice_ms": reply.metrics and reply.metrics.voice_to_voice_ms,
        "spans": [span.model_dump() for span in reply.metrics.spans] if reply.metrics else [],
        "ready_s": round(host.ready_s, 2),
        "wav": str(out),
        "error": reply.error and reply.error.message,
    }
