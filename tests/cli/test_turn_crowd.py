"""Many players at once: each is answered for itself, none speaks what another speaks, and who is refused is counted."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from npc.cli.profile_crowd import read_counts
from npc.cli.turn_crowd import START_SPREAD_S, Player, play_crowd, players
from npc.cli.turn_player import play_turn
from npc.client import NpcConnection
from npc.config import Server
from npc.errors import ConfigError
from npc.events import ErrorEvent, ReplyEnded, ServerEvent, TranscriptEvent, TurnMetrics
from npc.frames import REPLY, AudioFrame, to_pcm
from npc.profile.turns import summarise_turns
from npc.server import NpcServer
from npc.testing import ScriptedSpeech, ScriptedSynthesiser, VirtualClock, scripted_engine, silence, virtual_time
from npc.turn import HEARING_RATE_HZ, Samples, Speech, Voice
from npc.turntaking.material import Script, SpokenTurn

WORDS = ("How deep is the well?", "Good morning.", "Who lives at the mill?", "What do you sell?")


class Humming(ScriptedSynthesiser):
    """Replies that can be heard."""

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[Speech, None]:
        async for speech in super().speak(text, voice):
            yield replace(speech, audio=np.full(len(speech.audio), 0.1, np.float32))


def spoken_turns(speech: ScriptedSpeech) -> list[tuple[SpokenTurn, float]]:
    turns = []
    for i, words in enumerate(WORDS):
        parts = [silence(200), speech.say(words, 400 + 100 * i), silence(2500)]
        end = sum(map(len, parts[:2]))
        turns.append((SpokenTurn("script", Script("", (words,), ()), np.concatenate(parts), end, ()), -60.0))
    return turns


async def test_every_player_is_answered_to_its_own_words() -> None:
    speech = ScriptedSpeech()
    chosen = spoken_turns(speech)
    async with NpcServer(scripted_engine(speech, synthesiser=Humming()), Server(port=0)) as server:
        played = await play_crowd(server.url, "mira", players(3, 2, chosen), hears_out=False)
    assert len(played) == 6
    assert all(turn.voice_to_voice_ms is not None and turn.voice_to_voice_ms > 0 for turn in played)
    assert all(turn.transcript == turn.words for turn in played)
    assert summarise_turns(played)["errors"] == {}


async def test_who_finds_no_seat_is_counted_and_the_others_go_on() -> None:
    speech = ScriptedSpeech()
    chosen = spoken_turns(speech)
    both = [Player(chosen[:1], 0.0), Player(chosen[1:3], 0.3)]
    async with NpcServer(scripted_engine(speech, synthesiser=Humming()), Server(port=0, max_sessions=1)) as server:
        summary = summarise_turns(await play_crowd(server.url, "mira", both, hears_out=False))
    assert summary["n_turns"] == 3
    assert summary["n_missed"] == 2
    assert summary["errors"] == {"too-many-sessions": 2}


@pytest.mark.parametrize("n_players", [1, 2, 7, 32])
def test_players_begin_one_after_the_other_and_say_different_things(n_players: int) -> None:
    chosen = [(turn, float(i)) for i, (turn, _) in enumerate(spoken_turns(ScriptedSpeech()) * 8)]
    crowd = players(n_players, 6, chosen)
    assert [len(player.turns) for player in crowd] == [6] * n_players
    begins = [player.begins_s for player in crowd]
    assert begins == sorted(set(begins))
    assert 0 <= begins[-1] < START_SPREAD_S
    for k in range(6):
        assert len({player.turns[k][1] for player in crowd}) == n_players


def test_a_player_who_says_more_than_there_is_begins_anew() -> None:
    chosen = spoken_turns(ScriptedSpeech())
    [player] = players(1, 10, chosen)
    assert [turn.script.words for turn, _ in player.turns] == [*WORDS, *WORDS, *WORDS[:2]]


@pytest.mark.parametrize("text", ["", "many", "0", "4,-1", "2,,3", "1.5"])
def test_what_is_no_number_of_players_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--players"):
        read_counts(text)


def test_several_numbers_of_players_are_read_in_their_order() -> None:
    assert read_counts("1, 8,2") == [1, 8, 2]


@dataclass
class ScriptedServer:
    """What one connection is told, each at its time; `audio` is what it heard."""

    script: Sequence[tuple[float, ServerEvent | AudioFrame]]
    said: list[str] = field(default_factory=list)
    ready: "ScriptedServer" = field(init=False)
    rate_hz: int = 1000

    def __post_init__(self) -> None:
        self.ready = self
        self._events = self._come()

    async def send_audio(self, audio: Samples) -> None: ...

    async def interrupt(self) -> None:
        self.said.append("interrupt")

    def __aiter__(self) -> AsyncIterator[ServerEvent | AudioFrame]:
        return self

    async def __anext__(self) -> ServerEvent | AudioFrame:
        return await anext(self._events)

    async def _come(self) -> AsyncIterator[ServerEvent | AudioFrame]:
        for at_ms, event in self.script:
            await asyncio.sleep(max(at_ms - VirtualClock().now_ms(), 0) / 1000)
            yield event
        await asyncio.Event().wait()


def connection(script: Sequence[tuple[float, ServerEvent | AudioFrame]]) -> NpcConnection:
    return ScriptedServer(script)  # type: ignore[return-value]  # all of it that a player uses


def answer() -> list[tuple[float, ServerEvent | AudioFrame]]:
    """To a turn that ends at 1000 ms: two seconds of audio, all there at 1400 ms."""
    loud = to_pcm(np.full(2000, 0.1, np.float32))
    return [
        (1200, TranscriptEvent(turn=1, text="Yes.", is_final=True)),
        (1400, AudioFrame(REPLY, 1, 0, loud)),
        (1400, TurnMetrics(turn=1, voice_to_voice_ms=400.0, spans=())),
        (3400, ReplyEnded(turn=1, reason="done", text="Good.", n_samples=2000)),
    ]


A_TURN = SpokenTurn("script", Script("", ("Yes.",), ()), silence(3500), HEARING_RATE_HZ, ())


@virtual_time
async def test_a_reply_is_heard_out_or_broken_off() -> None:
    clock = VirtualClock()
    patient = connection(answer())
    turn = await play_turn(patient, A_TURN, -60.0, clock, hears_out=True)
    assert (turn.voice_to_voice_ms, clock.now_ms()) == (400.0, 3400.0)
    assert vars(patient)["said"] == []


@virtual_time
async def test_a_reply_is_broken_off_as_soon_as_it_is_there() -> None:
    clock = VirtualClock()
    hasty = connection([*answer()[:3], (1450, ReplyEnded(turn=1, reason="interrupted", text="", n_samples=50))])
    turn = await play_turn(hasty, A_TURN, -60.0, clock)
    assert (turn.voice_to_voice_ms, clock.now_ms()) == (400.0, 1450.0)
    assert vars(hasty)["said"] == ["interrupt"]


@virtual_time
async def test_an_error_is_kept_with_the_turn_that_it_ended() -> None:
    failed = connection([(1300, ErrorEvent(code="overloaded", message="too many", turn=1))])
    turn = await play_turn(failed, A_TURN, -60.0, VirtualClock(), hears_out=True)
    assert turn.is_missed
    assert turn.errors == ("overloaded",)
