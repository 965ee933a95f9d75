"""Many players at once, each with a microphone and a conversation of its own, in processes of their own.

So that speaking and measuring take nothing from the server but what players take.
"""

import asyncio
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from npc.cli.turn_player import play_turn
from npc.client import ConnectionLost, ServerRefused, connect
from npc.clock import MonotonicClock
from npc.profile.turns import PlayedTurn
from npc.turntaking.material import SpokenTurn

PLAYERS_A_PROCESS = 8
"""A player sends fifty frames a second: eight take a small part of a core."""
START_SPREAD_S = 6.0
"""The players begin one after the other within so long, about as long as a turn and its reply."""

Turns = Sequence[tuple[SpokenTurn, float]]
"""What a player says, each turn with the level of noise that is in it."""


@dataclass(frozen=True, slots=True)
class Player:
    turns: Turns
    begins_s: float
    """After the first player."""


def players(n_players: int, n_turns: int, chosen: Turns) -> list[Player]:
    """`n_players` who say `n_turns` of the `chosen` each: no two the same at the same time, if there are enough."""
    spread_s = START_SPREAD_S / n_players
    step = max(1, len(chosen) // n_players)
    return [
        Player([chosen[(i * step + k) % len(chosen)] for k in range(n_turns)], i * spread_s) for i in range(n_players)
    ]


async def play_crowd(url: str, character: str, crowd: Sequence[Player], *, hears_out: bool) -> list[PlayedTurn]:
    """All that the players said to the server at `url`, and what came of it."""
    n_processes = -(-len(crowd) // PLAYERS_A_PROCESS)
    parts = [crowd[i::n_processes] for i in range(n_processes)]
    loop = asyncio.get_running_loop()
    spawn = multiprocessing.get_context("spawn")  # a copy of this process would have its threads' locks
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, spawn)) for _ in parts]
        await asyncio.gather(*(loop.run_in_executor(pool, _be_there) for pool in pools))
        playing = [
            loop.run_in_executor(pool, _play_part, url, character, part, hears_out)
            for pool, part in zip(pools, parts, strict=True)
        ]
        return [turn for played in await asyncio.gather(*playing) for turn in played]


async def talk(url: str, character: str, player: Player, *, hears_out: bool) -> list[PlayedTurn]:
    """One player's conversation; what could not be said, as the server refused or went, is unanswered."""
    clock = MonotonicClock()
    await asyncio.sleep(player.begins_s)
    played: list[PlayedTurn] = []
    try:
        async with connect(url, character=character, clock=clock) as npc:
            for turn, noise_db in player.turns:
                played.append(await play_turn(npc, turn, noise_db, clock, hears_out=hears_out))
    except (ServerRefused, ConnectionLost) as error:
        code = error.code if isinstance(error, ServerRefused) else "connection-lost"
        played += [
            PlayedTurn(turn.group, noise_db, turn.script.words, len(turn.pauses), errors=(code,))
            for turn, noise_db in player.turns[len(played) :]
        ]
    return played


def _be_there() -> None:
    """That the process has started, and has imported all of this."""


def _play_part(url: str, character: str, part: Sequence[Player], hears_out: bool) -> list[PlayedTurn]:
    async def play() -> list[PlayedTurn]:
        async with asyncio.TaskGroup() as tasks:
            talks = [tasks.create_task(talk(url, character, player, hears_out=hears_out)) for player in part]
        return [turn for each in talks for turn in each.result()]

    return asyncio.run(play())
