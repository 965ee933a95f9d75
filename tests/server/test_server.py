"""Conversations through the server, many at once, and how it starts and ends."""

import asyncio
import json
import logging

import httpx
import numpy as np
import pytest
import websockets
from scripted_engine import ScriptedEngine

from npc.client import connect
from npc.config import Server
from npc.errors import ConfigError
from npc.events import AudioInput
from npc.frames import MICROPHONE, AudioFrame
from npc.server import NpcServer


async def test_a_turn_comes_in_the_order_of_the_protocol(running):
    async with running.talking() as websocket:
        await websocket.send(AudioFrame(MICROPHONE, 0, 0, bytes(32000)).pack())
        await websocket.send('{"type": "speech-end"}')
        seen = []
        while "reply-ended" not in seen:
            message = await asyncio.wait_for(websocket.recv(), 10)
            seen.append("audio" if isinstance(message, bytes) else json.loads(message)["type"])
    assert seen == [
        *("speech-started", "speech-stopped", "transcript", "reply-started", "passages", "words"),
        *("audio", "audio", "audio", "audio", "turn-metrics", "reply-ended"),
    ]


async def test_eight_players_at_once_each_hear_their_own_character(running):
    async def converse(n: int) -> None:
        character = running.engine.characters and list(running.engine.characters)[n % 3]
        audio = AudioInput(rate_hz=16000)
        async with connect(running.url, character=character, audio=audio, player=f"player{n}") as npc:
            for turn in range(1, 6):
                if turn % 2:
                    await npc.say(f"player {n} in turn {turn}")
                    expected = f"player {n} in turn {turn}"
                else:
                    duration_ms = 100 * n + 20 * turn
                    await npc.stream_speech(np.zeros(16 * duration_ms, np.float32), 16000, pace=0)
                    await npc.end_speech()
                    expected = f"{duration_ms} ms"
                reply = await npc.reply()
                assert npc.ready.character == character
                assert reply.turn == turn
                assert reply.text == f"You said: {expected}"
                assert reply.audio == pytest.approx(np.full(3 * 1440, n / 10, np.float32), abs=1e-3)

    async with asyncio.timeout(30), asyncio.TaskGroup() as players:
        for n in range(1, 9):
            players.create_task(converse(n))
    assert len(running.engine.sessions) == 8


async def test_what_people_say_is_logged_only_at_debug(running, caplog):
    caplog.set_level(logging.INFO, "npc")
    async with connect(running.url, character="mira", token="swordfish") as npc:
        await npc.say("my secret name is Rumpelstiltskin")
        await npc.reply()
        await npc.end()
        async for _ in npc:
            pass
    assert "session s1" in caplog.text
    assert "Rumpelstiltskin" not in caplog.text
    assert "swordfish" not in caplog.text


async def test_health_is_answered_on_the_same_port(running):
    base = running.url.replace("ws://", "http://")
    async with httpx.AsyncClient(trust_env=False) as http, running.talking():
        for path in ("/healthz", "/", "/?verbose=1"):
            answer = await http.get(base + path)
            assert answer.status_code == 200
            assert answer.json()["ready"] is True
            assert answer.json()["sessions"] == 1
            assert answer.json()["protocol"] == "npc.v1"
        missing = await http.get(base + "/v2")
        assert missing.status_code == 404
        assert "healthz" in missing.json()["error"]


async def test_a_websocket_at_an_unknown_path_is_told_where_to_go(running):
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with websockets.connect(running.url + "/v2", subprotocols=["npc.v1"], proxy=None):
            pass
    assert refusal.value.response.status_code == 404


async def test_metrics_count_sessions_turns_stages_and_errors(start_server, free_port):
    async with start_server(metrics_port=free_port) as running:
        async with running.talking() as websocket:
            await websocket.send("{")
            await websocket.send('{"type": "text", "text": "walk"}')
            while "reply-ended" not in str(await websocket.recv()):
                pass
            async with httpx.AsyncClient(trust_env=False) as http:
                text = (await http.get(f"http://127.0.0.1:{free_port}/metrics")).text
    for line in (
        "npc_sessions 1.0",
        "npc_sessions_opened_total 1.0",
        'npc_turns_total{reason="done"} 1.0',
        'npc_errors_total{code="bad-json"} 1.0',
        'npc_actions_total{action="walk_to"} 1.0',
        "npc_voice_to_voice_seconds_sum 0.12",
        'npc_stage_seconds_count{stage="llm"} 1.0',
    ):
        assert line in text.splitlines()


async def test_a_taken_port_is_said_clearly(running):
    with pytest.raises(ConfigError, match=rf"127.0.0.1:{running.server.port}: it is taken"):
        async with NpcServer(ScriptedEngine(), Server(port=running.server.port)):
            pass


async def test_a_taken_metrics_port_is_said_clearly_and_frees_the_other(running, free_port):
    settings = Server(port=free_port, metrics_port=running.server.port)
    with pytest.raises(ConfigError, match="another metrics_port"):
        async with NpcServer(ScriptedEngine(), settings):
            pass
    async with NpcServer(ScriptedEngine(), Server(port=free_port)):
        pass


async def test_ending_the_server_tells_every_client_and_ends_every_session(start_server):
    async with start_server() as running:
        first, second = await running.connect(), await running.connect()
        for websocket in (first, second):
            await websocket.send('{"type": "session-start", "character": "mira"}')
            await websocket.recv()
        await first.send('{"type": "text", "text": "long"}')
        reading = asyncio.create_task(drain(first))
    assert all(not session.is_running for session in running.engine.sessions)
    await reading
    await second.wait_closed()
    assert (first.close_code, second.close_code) == (1001, 1001)


async def drain(websocket):
    async for _ in websocket:
        pass
