import asyncio
import subprocess
import sys

import numpy as np
import pytest
from scripted_engine import ScriptedEngine

from npc.client import ConnectionLost, Reply, ServerRefused, connect
from npc.client.playback import PlaybackReporter
from npc.config import Server
from npc.events import (
    ActionResult,
    AudioInput,
    ErrorEvent,
    Playback,
    ReplyEnded,
    ReplyStarted,
    SceneUpdate,
    TranscriptEvent,
    TurnMetrics,
)
from npc.frames import REPLY, AudioFrame
from npc.server import NpcServer
from npc.world import Entity, Scene


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


async def test_a_reply_that_the_player_went_on_before_is_not_taken_for_the_answer(url):
    async with connect(url, character="mira") as npc:
        await npc.say("went on")
        reply = await npc.reply()
    assert (reply.turn, reply.text) == (2, "You said: all of it")


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (16000, 1), (24000, 2), (44100, 1), (48000, 2)])
async def test_a_recording_arrives_whole_in_every_format(url, engine, rate_hz, channels):
    audio = np.linspace(-1, 1, rate_hz, dtype=np.float32)
    async with connect(url, character="mira", audio=AudioInput(rate_hz=rate_hz, channels=channels)) as npc:
        await npc.stream_speech(audio, rate_hz, pace=0)
        await npc.end_speech()
        reply = await npc.reply()
        assert reply.transcript == "1000 ms"
        await npc.send_audio(audio[:100])
        await npc.send_audio(b"\x01\x02" * channels)
        await npc.say("that was all")
        await npc.reply()
    heard = np.frombuffer(bytes(engine.sessions[0].heard), "<i2").reshape(-1, channels)
    assert heard.shape == (101, channels)
    assert np.array_equal(heard[:, 0], heard[:, -1])
    assert heard[:100, 0] == pytest.approx(audio[:100] * 32767, abs=1)


class Clock:
    ms = 0.0

    def now_ms(self):
        return self.ms


async def test_speech_is_streamed_at_the_pace_of_a_microphone(url, monkeypatch):
    clock = Clock()
    slept_ms = []

    async def sleep(delay_s):
        slept_ms.append(delay_s * 1000)
        clock.ms += delay_s * 1000

    async with connect(url, character="mira", clock=clock) as npc:
        monkeypatch.setattr("npc.client.connection.asyncio.sleep", sleep)
        left_ms = await npc.stream_speech(np.zeros(16000, np.float32), 16000, silence_ms=500)
        monkeypatch.undo()
        assert clock.ms == pytest.approx(1500)
        assert left_ms == pytest.approx(1000), "the last sample of speech, not of the silence after it"
        assert slept_ms == pytest.approx([20] * 75)


async def test_a_recording_at_another_rate_is_refused(url):
    async with connect(url, character="mira") as npc:
        with pytest.raises(ValueError, match="44100 Hz on a connection opened for 16000 Hz"):
            await npc.stream_speech(np.zeros(100, np.float32), 44100)


async def test_everything_that_a_game_reports_reaches_the_session(url, engine):
    scene = Scene(places=(Entity(id="well", name="the old well"),))
    async with connect(url, character="mira", scene=scene, player="Robin", token="t") as npc:
        await npc.update_scene(Scene())
        await npc.result("a1", "failed", "the gate is locked")
        await npc.playback(1, 480)
        await npc.start_speech()
        await npc.say("done")
        await npc.reply()
    session = engine.sessions[0]
    assert session.start.scene == scene
    assert (session.start.player, session.start.token) == ("Robin", "t")
    assert session.received[:3] == [
        SceneUpdate(scene=Scene()),
        ActionResult(action="a1", outcome="failed", reason="the gate is locked"),
        Playback(turn=1, sample=480),
    ]


async def test_an_interrupted_reply_ends_and_none_of_its_frames_come_after(url):
    async with connect(url, character="mira") as npc:
        await npc.say("long")
        async for event in npc:
            if isinstance(event, AudioFrame):
                break
        await npc.interrupt()
        after = [event async for event in until_ended(npc)]
        assert not any(isinstance(event, AudioFrame) for event in after)
        assert after[-1].reason == "interrupted"
        await npc.say("hello")
        reply = await npc.reply()
        assert (reply.turn, len(reply.audio)) == (2, 3 * 1440)


async def until_ended(npc):
    async for event in npc:
        yield event
        if isinstance(event, ReplyEnded):
            return


async def test_each_reply_is_returned_once_and_in_order(url):
    async with connect(url, character="mira") as npc:
        for text in ("one", "fail", "three"):
            await npc.say(text)
            reply = await npc.reply()
            assert (reply.text, reply.ending) == (("", "failed") if text == "fail" else (f"You said: {text}", "done"))
            assert (reply.error is not None) == (text == "fail")


async def test_a_mistake_while_waiting_for_a_reply_is_raised_and_the_session_goes_on(url):
    async with connect(url, character="mira") as npc:
        await npc.result("a9", "done")
        with pytest.raises(ServerRefused, match="a9") as refusal:
            await npc.reply()
        assert refusal.value.code == "unknown-action"
        await npc.say("hello")
        assert (await npc.reply()).ending == "done"


async def test_leaving_ends_the_iteration(url):
    async with connect(url, character="mira") as npc:
        await npc.end()
        assert [event async for event in npc] == []


# What can go wrong


async def test_an_unknown_character_is_refused_with_those_that_exist(url):
    with pytest.raises(ServerRefused, match="have mira, kenji, ada") as refusal:
        async with connect(url, character="nobody"):
            pass
    assert refusal.value.code == "unknown-character"


async def test_no_server_at_the_address_is_said_with_what_to_do():
    with pytest.raises(ConnectionLost, match="npc serve"):
        async with connect("ws://127.0.0.1:1", character="mira"):
            pass


async def test_another_path_is_refused_with_the_servers_words(url):
    with pytest.raises(ServerRefused, match="websockets open at /") as refusal:
        async with connect(url + "/v2", character="mira"):
            pass
    assert refusal.value.code == "http-404"


async def test_a_crash_of_the_session_is_raised_to_the_reader(url):
    async with connect(url, character="mira") as npc:
        await npc.say("crash")
        with pytest.raises(ServerRefused) as refusal:
            await npc.reply()
    assert refusal.value.code == "internal"


async def test_sending_on_a_refused_connection_says_why_it_was_refused(engine):
    async with NpcServer(engine, Server(port=0, max_audio_lead_s=1)) as server:
        async with connect(server.url, character="mira") as npc:
            with pytest.raises(ServerRefused) as refusal:
                await npc.stream_speech(np.zeros(16000 * 600, np.float32), 16000, pace=1000)
    assert refusal.value.code == "audio-too-fast"


async def test_a_task_that_sends_and_one_that_reads_are_both_told_the_reason(engine):
    async with NpcServer(engine, Server(port=0, max_audio_lead_s=1)) as server:
        async with connect(server.url, character="mira") as npc:
            reading = asyncio.create_task(npc.reply())
            with pytest.raises(ServerRefused) as to_sender:
                await npc.stream_speech(np.zeros(16000 * 600, np.float32), 16000, pace=1000)
            with pytest.raises(ServerRefused, match="1 s ahead") as to_reader:
                await reading
    assert to_sender.value.code == to_reader.value.code == "audio-too-fast"


async def test_sending_after_the_session_has_ended_is_a_lost_connection(url):
    async with connect(url, character="mira") as npc:
        await npc.end()
        async for _ in npc:
            pass
        with pytest.raises(ConnectionLost, match="has ended"):
            await npc.say("hello?")


async def test_too_large_a_message_is_raised_as_such(engine):
    async with NpcServer(engine, Server(port=0, max_message_bytes=500)) as server:
        async with connect(server.url, character="mira") as npc:
            await npc.say("a" * 600)
            with pytest.raises(ServerRefused) as refusal:
                await npc.reply()
    assert refusal.value.code == "too-large"


async def test_a_server_that_ends_is_a_lost_connection(engine):
    async with NpcServer(engine, Server(port=0)) as server:
        npc = await (entered := connect(server.url, character="mira")).__aenter__()
        await npc.say("long")
        reading = asyncio.create_task(npc.reply())
    with pytest.raises(ConnectionLost, match="shutting down"):
        await reading
    await entered.__aexit__(None, None, None)


# Gathering a reply


def test_a_reply_ignores_events_of_other_turns_and_of_no_turn():
    reply = Reply(24000, after_turn=1)
    for turn, text in ((1, "before"), (2, "mine"), (3, "after")):
        reply.add(ReplyStarted(turn=turn))
        reply.add(TranscriptEvent(turn=turn, text=text, is_final=True))
    reply.add(ErrorEvent(code="bad-json", message="…"))
    reply.add(ReplyEnded(turn=1, reason="interrupted", text="", n_samples=0))
    assert (reply.turn, reply.transcript, reply.error, reply.is_over) == (2, "mine", None, False)


def test_an_empty_transcript_is_a_turn_without_an_answer():
    reply = Reply(24000)
    reply.add(TranscriptEvent(turn=1, text="", is_final=False))
    assert not reply.is_over
    reply.add(TranscriptEvent(turn=1, text="", is_final=True))
    assert reply.ending == "unanswered"


def test_a_reply_is_received_before_it_is_over():
    reply = Reply(24000)
    reply.add(AudioFrame(REPLY, 1, 0, b"\0\0"))
    reply.add(TurnMetrics(turn=1, voice_to_voice_ms=1, spans=()))
    assert not reply.is_received
    reply.add(AudioFrame(REPLY, 1, 1, b"", is_last=True))
    assert reply.is_received
    assert not reply.is_over


# Reporting playback


async def test_playback_is_reported_as_if_frames_were_played_on_arrival():
    clock = Clock()
    reporter = PlaybackReporter(None, 1000, clock)
    reporter.feed(AudioFrame(REPLY, 1, 0, bytes(2 * 100)))
    clock.ms = 60
    assert reporter.position == 60
    clock.ms = 500
    assert reporter.position == 100, "no further than what has arrived"
    reporter.feed(AudioFrame(REPLY, 1, 100, bytes(2 * 100)))
    clock.ms = 550
    assert reporter.position == 150, "it waited, and went on where it was"
    reporter.feed(AudioFrame(REPLY, 1, 200, bytes(2 * 100)))
    clock.ms = 700
    assert reporter.position == 300
    reporter.feed(AudioFrame(REPLY, 2, 0, bytes(2 * 100)))
    assert reporter.position == 0


async def test_playback_reports_reach_the_session_up_to_the_end_of_the_reply(url, engine):
    async with connect(url, character="mira", report_playback=True) as npc:
        await npc.say("hello")
        async for event in npc:
            if isinstance(event, AudioFrame) and event.is_last:
                break
        async with asyncio.timeout(10):
            while await engine.sessions[0].arrivals.get() != Playback(turn=1, sample=3 * 1440):
                pass


def test_the_client_imports_no_model_library():
    heavy = "torch", "transformers", "onnxruntime", "faster_whisper", "sentence_transformers", "scipy", "typer"
    code = f"import sys, npc.client; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
