"""`npc profile barge-in`: how soon a character falls silent when a player speaks over it, with and without echo."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.client import NpcConnection
    from npc.profile.room import EchoRoom
    from npc.turn import Samples
    from npc.turntaking.material import SpokenTurn

ECHO_DB = (None, -20.0)
"""How loud what is played comes back, beside the player's voice; None: a headset."""
REPLY_RMS = 0.075
"""Of the engine's voices."""
QUESTIONS = ("Tell me about your work.", "Who lives in this town?", "What do you think about the war?")
DEAF_MS = 2000


@dataclass(frozen=True, slots=True)
class BargeIn:
    """`silent_ms` from the player's first sample until the last of the reply left, or playback was told to stop.

    None where neither came about; negative where the reply fell silent before anybody spoke.
    """

    silent_ms: float | None


def barge_in(
    replies: Annotated[int, typer.Option(min=1, help="How many replies are spoken over, in each room.")] = 20,
    character: Annotated[str, typer.Option(help="Who is spoken to.")] = "smith",
    seed: Annotated[int, typer.Option(help="Of who speaks when.")] = 0,
    config: Annotated[Path | None, typer.Option(help="Settings file, instead of ./npc.toml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Speak over replies in real time: from the player's first sample to the reply's last."""
    from rich.console import Console

    from npc.cli.hosting import run

    console = Console(stderr=True, highlight=False)
    run(_profile(replies, character, seed, config, console, as_json), console)


async def _profile(
    n_replies: int, character: str, seed: int, config: Path | None, console: "Console", as_json: bool
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from npc.cli.profile_turns import spoken
    from npc.cli.turn_servers import turn_servers

    voices = [turn for turn, _ in await spoken(n_replies, None, seed)]
    found: dict[str, list[BargeIn]] = {}
    async with turn_servers([{}], config) as [url]:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("speaking over replies", total=n_replies * len(ECHO_DB))
            for echo_db in ECHO_DB:
                name = "no echo" if echo_db is None else f"echo at {echo_db:g} dB"
                found[name] = []
                for i, turn in enumerate(voices):
                    found[name].append(await _one(url, character, turn, echo_db, random.Random(seed + i)))
                    bar.advance(task)
    summaries = {name: _summary(each) for name, each in found.items()}
    if as_json:
        print(json.dumps(summaries))
        return
    shown = Console(highlight=False)
    for name, summary in summaries.items():
        shown.print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in summary.items()))


async def _one(url: str, character: str, turn: "SpokenTurn", echo_db: float | None, chance: random.Random) -> BargeIn:
    """A conversation of one reply that is spoken over."""
    import numpy as np

    from npc.client import connect
    from npc.clock import MonotonicClock
    from npc.profile.room import EchoRoom
    from npc.turn import HEARING_RATE_HZ
    from npc.turntaking.material import QUIET_BEFORE_MS

    clock = MonotonicClock()
    voice = turn.audio[QUIET_BEFORE_MS * HEARING_RATE_HZ // 1000 : turn.end_sample]
    rms = float(np.sqrt(np.mean(np.square(voice))))
    async with connect(url, character=character, clock=clock) as npc:
        gain = 0.0 if echo_db is None else rms / REPLY_RMS * 10 ** (echo_db / 20)
        room = EchoRoom(npc.ready.rate_hz, gain)
        hearing = asyncio.create_task(room.run(npc.send_audio, clock))
        try:
            for question in QUESTIONS:  # a reply may be over before it is spoken over
                await npc.say(question)
                silent_ms = await _speak_over(npc, room, voice, chance.uniform(0.5, 1.2))
                if silent_ms is not _TOO_SHORT:
                    return BargeIn(silent_ms)
        finally:
            hearing.cancel()
            await asyncio.wait({hearing})
    return BargeIn(None)


_TOO_SHORT = float("inf")


async def _speak_over(npc: "NpcConnection", room: "EchoRoom", voice: "Samples", after_s: float) -> float | None:
    """Speak `after_s` seconds after the reply began; milliseconds until it was silent."""
    from npc.clock import MonotonicClock
    from npc.events import ReplyEnded, ReplyHushed
    from npc.frames import AudioFrame

    clock = MonotonicClock()
    onset_ms: float | None = None
    last_frame_ms = 0.0
    try:
        async with asyncio.timeout(20):
            async for event in npc:
                now_ms = clock.now_ms()
                room.notice(event)
                match event:
                    case AudioFrame(pcm=pcm) if pcm:
                        last_frame_ms = now_ms
                        if onset_ms is None:
                            onset_ms = room.speak(voice, after_s)
                    case ReplyHushed() | ReplyEnded(reason="interrupted") if onset_ms is not None:
                        return max(now_ms, last_frame_ms) - onset_ms
                    case ReplyEnded():
                        return _TOO_SHORT if onset_ms is None or now_ms < onset_ms + DEAF_MS else None
                    case _:
                        pass
    except TimeoutError:
        pass
    return None


def _summary(found: Sequence[BargeIn]) -> dict[str, Any]:  # JSON
    from npc.profile.report import percentiles

    heard = [each.silent_ms for each in found if each.silent_ms is not None and 0 <= each.silent_ms <= DEAF_MS]
    return {
        "n_replies": len(found),
        "n_heard": len(heard),
        "n_silent_before": sum(each.silent_ms is not None and each.silent_ms < 0 for each in found),
        "silent_ms": percentiles(heard) if heard else None,
    }
