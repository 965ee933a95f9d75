"""The same spoken turns through the engine and through pipecat, turn by turn on one machine in one run.

    python benchmarks/pipecat/compare.py --turns 14 --seed 0 --recordings DIR

Both have the same weights and the same prompt; README.md says what each side's settings are. Whoever is not
spoken to is idle. Turns, microphone and measure are those of `npc profile turns`.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import peer
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from weights import gguf

from npc.character import stable_messages
from npc.character.load import load_characters
from npc.cli import hosting
from npc.cli.profile_turns import TURNS_A_TALK, spoken
from npc.cli.turn_player import play_turn
from npc.cli.turn_servers import turn_servers
from npc.client import connect
from npc.clock import MonotonicClock
from npc.config import load_settings
from npc.models import ModelStore
from npc.profile.report import percentiles
from npc.profile.turns import PlayedTurn, summarise_turns
from npc.turntaking.material import SpokenTurn

OURS, THEIRS = "npc", "pipecat"
WITH_THE_WORDS_MS = 200
BUILD = Path(__file__).parents[2] / "build" / "pipecat"

Chosen = Sequence[tuple[SpokenTurn, float]]
"""Turns, and how loud the noise beside the voice is, in dB."""


def main(
    turns: Annotated[int, typer.Option(min=1, help="How many turns.")] = 14,
    recordings: Annotated[Path | None, typer.Option(help="A folder of recordings of people, with their words.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order, and of where the pauses are, and how long.")] = 0,
    character: Annotated[str, typer.Option(help="Who is spoken to.")] = "smith",
    config: Annotated[Path | None, typer.Option(help="The engine's settings, instead of ./npc.toml.")] = None,
    llm_threads: Annotated[int, typer.Option(min=1, help="Of llama.cpp; the engine's are in its settings.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Speak the same turns to the engine and to pipecat: voice to voice, false cutoffs, and the ratio."""
    console = Console(stderr=True, highlight=False)
    hosting.run(_compare(turns, recordings, seed, character, config, llm_threads, as_json, console), console)


async def _compare(
    n_turns: int,
    recordings: Path | None,
    seed: int,
    character: str,
    config: Path | None,
    llm_threads: int,
    as_json: bool,
    console: Console,
) -> None:
    console.print("preparing pipecat's environment and weights, and the turns…", style="dim")
    python = await asyncio.to_thread(peer.environment, BUILD)
    models = ModelStore(models_dir=load_settings(config).models_dir)
    weights, whisper = await asyncio.to_thread(lambda: (gguf(models), models.ensure("whisper-tiny.en")))
    person = (await asyncio.to_thread(load_characters)).find(character)
    prompt = stable_messages(person, person.scene)
    chosen = await spoken(n_turns, recordings, seed)
    async with turn_servers([{"llm": {"weights": "int4"}}], config) as [ours]:
        async with peer.served(python, weights, llm_threads, whisper, prompt, person.sampling) as theirs:
            played, stages = await _play(ours, theirs, chosen, character, console)
    summaries = {name: summarise_turns(each) for name, each in played.items()}
    ratios = _ratios(played, stages)
    ended_ms = {name: percentiles([turn[name] for turn in stages if name in turn]) for name in _names(stages)}
    if as_json:
        print(
            json.dumps(
                {**summaries, "ratios": ratios, "pipecat_stages_ended_ms": ended_ms, "pipecat_turns_ended_ms": stages}
            )
        )
        return
    shown = Console(highlight=False)
    shown.print(_table(summaries))
    for name, ratio in ratios.items():
        shown.print(f"{name}: {ratio:.2f} ×" if ratio else f"{name}: –")
    shown.print(
        "pipecat, ms after the last word (p50): " + ", ".join(f"{k} {v['p50']:.0f}" for k, v in ended_ms.items())
    )


async def _play(
    ours: str, theirs: str, chosen: Chosen, character: str, console: Console
) -> tuple[dict[str, list[PlayedTurn]], list[peer.Stages]]:
    """Every turn to both, and who goes first alternates. A first one that does not count warms both up."""
    clock = MonotonicClock()
    played: dict[str, list[PlayedTurn]] = {OURS: [], THEIRS: []}
    stages: list[peer.Stages] = []
    talks = [chosen[at : at + TURNS_A_TALK] for at in range(0, len(chosen), TURNS_A_TALK)]
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("speaking", total=2 * len(chosen) + 2)
        for talk in (chosen[:1], *talks):
            async with connect(ours, character=character, clock=clock) as npc, peer.conversation(theirs, clock) as bot:
                for i, (turn, noise_db) in enumerate(talk):
                    for name in (OURS, THEIRS) if i % 2 == 0 else (THEIRS, OURS):
                        if name == OURS:
                            played[name].append(await play_turn(npc, turn, noise_db, clock))
                        else:
                            one, its_stages = await peer.play_turn(bot, turn, noise_db, clock)
                            played[name].append(one)
                            stages.append(its_stages)
                        bar.advance(task)
    return {name: each[1:] for name, each in played.items()}, stages[1:]


def _ratios(played: Mapping[str, Sequence[PlayedTurn]], stages: Sequence[peer.Stages]) -> dict[str, float | None]:
    """pipecat's median over the engine's."""
    pairs = [
        (one.voice_to_voice_ms, other.voice_to_voice_ms, other.arrived_ms, _is_sure(told))
        for one, other, told in zip(played[OURS], played[THEIRS], stages, strict=True)
        if one.voice_to_voice_ms is not None and other.voice_to_voice_ms is not None
    ]
    all_ours, all_theirs = ([turn.voice_to_voice_ms for turn in played[name]] for name in (OURS, THEIRS))
    ours, theirs = [ms for ms, *_ in pairs], [ms for _, ms, *_ in pairs]
    sure = [pair for pair in pairs if pair[-1]]
    return {
        "ratio of medians": _ratio(all_ours, all_theirs),
        "over turns that both answered": _ratio(ours, theirs),
        f"over the {len(sure)} of these that Smart Turn found finished": _ratio(
            [ms for ms, *_ in sure], [ms for _, ms, *_ in sure]
        ),
        "to pipecat's first frame, audible or not": _ratio(ours, [ms for *_, ms, _ in pairs]),
    }


def _is_sure(stages: peer.Stages) -> bool:
    """Whether pipecat's turn ended with its words, and not with the time that it leaves to who may go on."""
    return stages.get("turn over", float("inf")) - stages.get("recognised", 0.0) < WITH_THE_WORDS_MS


def _ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    a, b = ([value for value in each if value is not None] for each in (ours, theirs))
    return round(float(np.median(b) / np.median(a)), 2) if a and b else None


def _names(stages: Sequence[peer.Stages]) -> list[str]:
    known = ["recognised", *peer.STAGES.values()]
    return [name for name in known if any(name in turn for turn in stages)]


def _table(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    first = summaries[OURS]
    caption = f"{first['n_turns']} turns, {first['n_with_pauses']} with pauses"
    table = Table(title=caption, box=None, pad_edge=False, header_style="dim")
    for heading in ("", "p50 ms", "p95", "cut off", "missed"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, summary in summaries.items():
        voiced = summary["voice_to_voice_ms"]
        cells = [f"{voiced[p]:.0f}" if voiced else "–" for p in ("p50", "p95")]
        table.add_row(name, *cells, str(summary["n_cut_off"]), str(summary["n_missed"]))
    return table


if __name__ == "__main__":
    typer.run(main)
