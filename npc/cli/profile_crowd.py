"""`npc profile turns --players`: voice to voice as more and more players talk to one server at once.

The settings that `--json` tells are those of one process on all cores; workers fit theirs to their part.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

LEAST_TURNS = 6
"""Of each player."""
_STAGES = ("asr", "retrieve", "prefill", "first_token", "first_clause", "tts", "audio_out")
_TOLD = ("turn_taking", "recognition", "knowledge", "speaking", "llm")
_SECRET = {"llm": {"api_key", "base_url"}}


def read_counts(text: str) -> list[int]:
    """ "1,2,4" → [1, 2, 4]. Raises ConfigError."""
    from npc.errors import ConfigError

    try:
        counts = [int(count) for count in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise ConfigError(f"--players: '{text}' is no number of players, nor several as in 1,2,4,8")
    return counts


async def profile_crowd(
    counts: Sequence[int],
    n_turns: int,
    recordings: Path | None,
    character: str,
    seed: int,
    config: Path | None,
    workers: str | None,
    console: "Console",
    *,
    hears_out: bool,
    as_json: bool,
) -> None:
    """`n_turns` in all at each count, and no less than `LEAST_TURNS` of each player."""
    from rich.console import Console

    from npc.cli.profile_turns import spoken
    from npc.cli.turn_crowd import play_crowd, players
    from npc.cli.turn_servers import turn_servers
    from npc.config import load_settings
    from npc.profile.turns import summarise_turns

    given = load_settings(config, {"server": {"workers": workers}})
    n_workers = given.server.n_workers
    max_sessions = max(given.server.max_sessions, 2 * max(counts))
    overrides = {"server": {"max_sessions": max_sessions, "workers": n_workers}}
    chosen = await spoken(max(n_turns, n_workers, *counts), recordings, seed)
    summaries: dict[int, dict[str, Any]] = {}  # JSON
    async with turn_servers([overrides], config) as [url]:
        # the first turn of a process is slower than others
        await play_crowd(url, character, players(n_workers, 1, chosen), hears_out=False)
        for count in counts:
            console.print(f"{count} player{'s' * (count > 1)}…", style="dim")
            crowd = players(count, max(LEAST_TURNS, -(-n_turns // count)), chosen)
            began_s, cpu_s = time.perf_counter(), _server_cpu_s()
            played = await play_crowd(url, character, crowd, hears_out=hears_out)
            took_s = time.perf_counter() - began_s
            summaries[count] = summarise_turns(played) | {
                "took_s": round(took_s, 1),
                "server_cores": round((_server_cpu_s() - cpu_s) / took_s, 2),
            }
    if as_json:
        settings = given.model_dump(mode="json", include=set(_TOLD), exclude=_SECRET)
        told = {"hears_out": hears_out, "workers": n_workers, "settings": settings}
        told["players"] = {str(n): summary for n, summary in summaries.items()}
        print(json.dumps(told))
        return
    shown = Console(highlight=False)
    shown.print(_table(summaries, n_workers, hears_out=hears_out))
    shown.print(_stages(summaries))


def _server_cpu_s() -> float:
    """That the server's process and its workers have computed so far, on all cores together."""
    import psutil

    for child in psutil.Process().children():
        if "npc.cli.turn_servers" in child.cmdline():
            spent = [each.cpu_times() for each in (child, *child.children(recursive=True))]
            return float(sum(times.user + times.system for times in spent))
    return 0.0


def _table(summaries: Mapping[int, Mapping[str, Any]], n_workers: int, *, hears_out: bool) -> Any:  # a rich Table
    from rich.table import Table

    title = f"voice to voice, {'each' if hears_out else 'no'} reply heard out"
    if n_workers > 1:
        title += f", {n_workers} workers"
    table = Table(title=title, box=None, pad_edge=False, header_style="dim")
    figures = ("p50 ms", "p95", "p99", "cut off %", "missed", "errors", "ahead %", "hits %", "cores")
    headings = ("players", "turns", *figures)
    for heading in headings:
        table.add_column(heading, justify="right")
    for count, summary in summaries.items():
        voiced, ahead = summary["voice_to_voice_ms"], summary["speculation"]
        table.add_row(
            str(count),
            str(summary["n_turns"]),
            *(f"{voiced[p]:.0f}" if voiced else "–" for p in ("p50", "p95", "p99")),
            f"{summary['cut_off_percent']:.1f}",
            str(summary["n_missed"]),
            " ".join(f"{n} {code}" for code, n in summary["errors"].items()) or "0",
            f"{ahead['turns_percent']:.0f}" if ahead else "–",
            f"{ahead['hit_percent']:.0f}" if ahead and ahead["hit_percent"] is not None else "–",
            f"{summary['server_cores']:.1f}",
        )
    return table


def _stages(summaries: Mapping[int, Mapping[str, Any]]) -> Any:  # a rich Table
    """Which stage it is that players wait longer for when there are more of them."""
    from rich.table import Table

    from npc.profile.waterfall import NAMES

    table = Table(title="\nstages, p50 / p95 ms", box=None, pad_edge=False, header_style="dim")
    table.add_column("players", justify="right")
    for name in _STAGES:
        table.add_column(NAMES.get(name, name), justify="right")
    for count, summary in summaries.items():
        found = [summary["stages_ms"].get(name) for name in _STAGES]
        table.add_row(str(count), *(f"{each['p50']:.0f} / {each['p95']:.0f}" if each else "–" for each in found))
    return table
