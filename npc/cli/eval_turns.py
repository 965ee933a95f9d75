"""`npc eval waits`: how long a player who has finished waits, and how often one who has not is cut off.

Offline: the models hear every pause of every turn once, and the turns are then played in
virtual time at several settings of `eagerness`, and with fixed waits beside them.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from npc.turntaking.rehearsal import Heard

EAGERNESS = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0)
HEARD_BY = "smith"
"""Who listens: the names around are known to recognition."""
FIXED_MS = (100, 200, 300, 400, 600, 800, 1000)


@dataclass(frozen=True, slots=True)
class Point:
    """A setting and what came of it; cutoffs in percent of the turns."""

    wait: str
    cut_off: float
    p50_ms: float
    p95_ms: float
    n_pauses_per_turn: float


def turns(
    recordings: Annotated[
        Path | None, typer.Option(help="A folder of recordings with a transcripts.tsv, .csv or README.md table.")
    ] = None,
    all_scripts: Annotated[bool, typer.Option("--all", help="The scripts for tuning, too.")] = False,
    seed: Annotated[int, typer.Option(help="Of where the pauses are, and how long.")] = 0,
    by_voice: Annotated[bool, typer.Option(help="Judge a pause by the sound of the voice, too.")] = False,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Waiting against false cutoffs, for every eagerness and for fixed waits."""
    from npc.errors import NpcError

    try:
        heard = asyncio.run(_hear(recordings, all_scripts, seed, by_voice, models))
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    with_pauses = sum(bool(one.turn.pauses) for one in heard)
    points = curve(heard)
    if as_json:
        found = {"turns": len(heard), "with_pauses": with_pauses, "curve": [asdict(point) for point in points]}
        typer.echo(json.dumps(found, indent=2))
    else:
        _print(points, len(heard), with_pauses)


def curve(heard: "Sequence[Heard]") -> list[Point]:
    from npc.config import TurnTaking
    from npc.turntaking.rehearsal import rehearse, score

    settings = {f"eagerness {value:g}": TurnTaking(eagerness=value) for value in EAGERNESS}
    settings |= {f"{ms} ms": TurnTaking(min_endpoint_ms=ms, max_endpoint_ms=ms) for ms in FIXED_MS}
    points = []
    for name, setting in settings.items():
        result = score(rehearse(one, setting) for one in heard)
        points.append(
            Point(
                name,
                round(100 * result.cut_off, 1),
                round(result.p50_ms, 1),
                round(result.p95_ms, 1),
                round(result.n_pauses_per_turn, 2),
            )
        )
    return points


async def _hear(
    recordings: Path | None, all_scripts: bool, seed: int, by_voice: bool, models: Path | None
) -> "list[Heard]":
    from rich.console import Console
    from rich.progress import track

    from npc.asr.whisper import WhisperRecogniser
    from npc.character.load import load_character, shipped_characters
    from npc.config import Recognition, Speaking, TurnTaking
    from npc.models import ModelStore
    from npc.moment import names_around
    from npc.tts.hibari import HibariSynthesiser
    from npc.turntaking.material import scripts, with_hibari, with_people, with_programs
    from npc.turntaking.rehearsal import listen
    from npc.turntaking.smart_turn import SmartTurn
    from npc.turntaking.vad import SileroVoiceActivity

    store = ModelStore(models_dir=models)
    vad = SileroVoiceActivity.load(store.ensure("silero-vad"))
    recogniser = WhisperRecogniser.load(store.ensure("whisper-tiny.en"), Recognition())
    smart_turn = SmartTurn.load(store.ensure("smart-turn-v3")) if by_voice else None
    chosen = scripts("all" if all_scripts else "judging")
    spoken = [turn async for turn in with_hibari(chosen, HibariSynthesiser.load(Speaking()), seed)]
    spoken += with_programs(chosen, seed=seed)
    spoken += with_people(recordings, seed) if recordings is not None else ()
    character = load_character(shipped_characters() / HEARD_BY)
    around = names_around(character, character.scene)
    console = Console(stderr=True)
    return [
        await listen(turn, vad, recogniser, smart_turn, TurnTaking(), around)
        for turn in track(spoken, "Listening", console=console, transient=True)
    ]


def _print(points: Sequence[Point], n_turns: int, n_with_pauses: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{n_turns} turns, {n_with_pauses} of them with pauses of 0.1 to 1.5 s")
    for heading in ("wait", "cut off %", "p50 ms", "p95 ms", "replies begun a turn"):
        table.add_column(heading, justify="left" if heading == "wait" else "right")
    for point in points:
        table.add_row(
            point.wait,
            f"{point.cut_off:.1f}",
            f"{point.p50_ms:.0f}",
            f"{point.p95_ms:.0f}",
            f"{point.n_pauses_per_turn:.2f}",
        )
    Console().print(table)
