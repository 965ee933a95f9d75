import numpy as np
import pytest
from npc.client import connect
from npc.server import NpcServer
from scripted_engine import ScriptedEngine

from npc.config import Server
from npc.events import AudioInput


@pytest.fixture
async def engine():
    return ScriptedEngine()


@pytest.fixture
async def url(engine):
    async with NpcServer(engine, Server(port=0)) as server:
        yield server.url


async def test_a_typed_turn_gives_text_actions_passages_audio_and_metrics(url):
    async with connect(url, character="mira", player="player4") as npc:
        assert npc.ready.name == "Mira"
        await npc.say("walk")
        reply = await npc.reply()
    assert reply.text == "You said: walk"
    assert [(action.name, action.args) for action in reply.actions] == [("walk_to", {"place": "well"})]
    assert reply.passages[0].heading == "The well"
    assert reply.audio.shape == (3 * 1440,)
    assert reply.audio.mean() == pytest.approx(0.4, abs=1e-3)
    assert reply.metrics.voice_to_voice_ms == 120.0
    assert reply.ending == "done"
    assert reply.is_received


async def test_a_spoken_turn_arrives_whole(url):
    async with connect(url, character="mira", audio=AudioInput(rate_hz=24000, channels=2)) as npc:
        await npc.stream_speech(np.zeros(24000, np.float32), 24000, pace=0, silence_ms=500)
        await npc.end_speech()
        reply = await npc.reply()
    assert reply.transcript == "1500 ms"
