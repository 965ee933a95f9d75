"""`npc profile turns`: voice to voice over turns with pauses inside, together with how often they are cut off."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from npc.profile.turns import PlayedTurn
    from npc.turntaking.material import SpokenTurn

EAGERNESS = (0.25, 0.75, 1.0)
"""The curve's points beside the setting as it is."""
NOISE_DB = (-60.0, -30.0, -20.0)
"""Beside the voice; every turn gets one of them."""
TURNS_A_TALK = 6
AS_SET, NOT_AHEAD = "as set", "without speculation"


def turns(
    turns: Annotated[int, typer.Option(min=1, help="How many turns at each setting.")] = 24,
    recordings: Annotated[
        Path | None, typer.Option(help="A folder of recordings with a transcripts.tsv, .csv or README.md table.")
    ] = None,
    eagerness: Annotated[
        list[float] | None, typer.Option(help="Points of the curve beside the setting as it is; may be repeated.")
    ] = None,
    character: Annotated[str, typer.Option(help="Who is spoken to.")] = "smith",
    seed: Annotated[int, typer.Option(help="Of the order, and of where the pauses are, and how long.")] = 0,
    config: Annotated[Path | None, typer.Option(help="Settings file, instead of ./npc.toml.")] = None,
    players: Annotated[
        str, typer.Option(help="So many conversations at once, as set; several numbers, as in 1,2,4,8, make a table.")
    ] = "",
    workers: Annotated[
        str | None, typer.Option(help="Processes that serve --players together; 'auto' is one for every two cores.")
    ] = None,
    hears_out: Annotated[
        bool, typer.Option("--hears-out/--breaks-off", help="Whether --players listen to each reply to its end.")
    ] = True,
    html: Annotated[Path | None, typer.Option(help="Write a page with the waterfall and the curve.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Speak turns with pauses over the websocket in real time: voice to voice, false cutoffs, speculation."""
    from rich.console import Console

    from npc.cli.hosting import run
    from npc.errors import ConfigError

    console = Console(stderr=True, highlight=False)
    points = EAGERNESS if eagerness is None else tuple(eagerness)
    if players:
        from npc.cli.profile_crowd import profile_crowd, read_counts

        async def crowd() -> None:
            counts = read_counts(players)
            if html is not None:
                raise ConfigError("--html draws one player's turns; leave it out with --players, or take --json")
            await profile_crowd(
                counts,
                turns,
                recordings,
                character,
                seed,
                config,
                workers,
                console,
                hears_out=hears_out,
                as_json=as_json,
            )

        run(crowd(), console)
        return
    if workers is not None:
        raise typer.BadParameter("one player is served by one process; give --players, too", param_hint="--workers")
    run(_profile(turns, recordings, points, character, seed, config, html, console, as_json), console)


async def _profile(
    n_turns: int,
    recordings: Path | None,
    eagerness: Sequence[float],
    character: str,
    seed: int,
    config: Path | None,
    html: Path | None,
    console: "Console",
    as_json: bool,
) -> None:
    from rich.console import Console

    from npc.cli.turn_servers import turn_servers
    from npc.config import load_settings
    from npc.profile.turns import critical_path, median_turn, summarise_turns

    load_settings(config)  # its mistakes are told here
    settings: dict[str, dict[str, Any]] = {AS_SET: {}, NOT_AHEAD: {"turn_taking": {"speculates": False}}}
    settings |= {f"eagerness {value:g}": {"turn_taking": {"eagerness": value}} for value in eagerness}
    chosen = await spoken(n_turns, recordings, seed)
    async with turn_servers(list(settings.values()), config) as urls:
        played = await _play(dict(zip(settings, urls, strict=True)), chosen, character, console)
    summaries = {name: summarise_turns(each) for name, each in played.items()}
    median = median_turn(played[AS_SET])
    path = [] if median is None else critical_path(median)
    if html is not None:
        from npc.profile.turns_page import page

        await asyncio.to_thread(html.write_text, page(summaries, median, path), encoding="utf-8")
    if as_json:
        print(json.dumps({"settings": summaries, "critical_path_of_the_median_turn": path}))
        return
    shown = Console(highlight=False)
    shown.print(_table(summaries))
    if median is not None:
        shown.print(f"\nThe median turn, “{median.words}”: " + " → ".join(f"{name} {ms:.0f}" for name, ms in path))


async def spoken(n_turns: int, recordings: Path | None, seed: int) -> "list[tuple[SpokenTurn, float]]":
    """Turns in all voices there are, in an order of chance, each with its level of noise."""
    from npc.config import Speaking
    from npc.tts.hibari import HibariSynthesiser
    from npc.turntaking.material import scripts, with_hibari, with_noise, with_people, with_programs

    plain = [script for script in scripts("judging") if not script.asked]
    synthesiser = await asyncio.to_thread(HibariSynthesiser.load, Speaking())
    try:
        made = [turn async for turn in with_hibari(plain, synthesiser, seed)]
    finally:
        synthesiser.close()
    made += await asyncio.to_thread(lambda: list(with_programs(plain, seed=seed)))
    if recordings is not None:
        made += list(with_people(recordings, seed))
    random.Random(seed).shuffle(made)
    chosen = (made * (n_turns // len(made) + 1))[:n_turns]
    levels = [NOISE_DB[i % len(NOISE_DB)] for i in range(n_turns)]
    return [
        (with_noise(turn, level, seed=i), level) for i, (turn, level) in enumerate(zip(chosen, levels, strict=True))
    ]


async def _play(
    urls: Mapping[str, str], chosen: "Sequence[tuple[SpokenTurn, float]]", character: str, console: "Console"
) -> "dict[str, list[PlayedTurn]]":
    """Each part of the turns under all settings in turn, so that a machine that slows down slows all of them."""
    from rich.progress import Progress

    from npc.cli.turn_player import play_turn
    from npc.client import connect
    from npc.clock import MonotonicClock

    clock = MonotonicClock()
    played: dict[str, list[PlayedTurn]] = {name: [] for name in urls}
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("speaking", total=len(chosen) * len(urls))
        for at in range(0, len(chosen), TURNS_A_TALK):
            for name, url in urls.items():
                async with connect(url, character=character, clock=clock) as npc:
                    for turn, noise_db in chosen[at : at + TURNS_A_TALK]:
                        played[name].append(await play_turn(npc, turn, noise_db, clock))
                        bar.advance(task)
    return played


def _table(summaries: Mapping[str, Mapping[str, Any]]) -> Any:  # a rich Table
    from rich.table import Table

    first = next(iter(summaries.values()))
    title = f"{first['n_turns']} turns, {first['n_with_pauses']} of them with pauses of 0.1 to 1.5 s"
    table = Table(title=title, box=None, pad_edge=False, header_style="dim")
    for heading in ("", "p50 ms", "p95", "p99", "cut off %", "missed", "hits %", "saved p50", "tokens in vain"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, summary in summaries.items():
        voiced, ahead = summary["voice_to_voice_ms"], summary["speculation"]
        table.add_row(
            name,
            *(f"{voiced[p]:.0f}" if voiced else "–" for p in ("p50", "p95", "p99")),
            f"{summary['cut_off_percent']:.1f}",
            str(summary["n_missed"]),
            f"{ahead['hit_percent']:.0f}" if ahead and ahead["hit_percent"] is not None else "–",
            f"{ahead['saved_ms']['p50']:.0f}" if ahead else "–",
            f"{ahead['tokens_thrown_away_per_turn']:.0f}" if ahead else "–",
        )
    return table
