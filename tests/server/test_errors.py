"""Everything that a client can get wrong, done by a client that gets it wrong on purpose."""

import asyncio
import contextlib
import json

import pytest
import websockets

from npc.frames import MICROPHONE, REPLY, AudioFrame

START = {"type": "session-start", "character": "mira"}


async def receive(websocket):
    return json.loads(await asyncio.wait_for(websocket.recv(), 10))


async def refused(websocket):
    """The fatal error that the server sends, and the code that it closes with."""
    error = await receive(websocket)
    while error["type"] != "error":
        error = await receive(websocket)
    assert error["fatal"]
    await asyncio.wait_for(websocket.wait_closed(), 10)
    return error["code"], error["message"], websocket.close_code


async def still_talks(websocket, text="hello"):
    """Whether the session goes on: it answers."""
    await websocket.send(json.dumps({"type": "text", "text": text}))
    while True:
        message = await asyncio.wait_for(websocket.recv(), 10)
        if isinstance(message, str) and json.loads(message)["type"] == "reply-ended":
            return json.loads(message)["text"] == f"You said: {text}"


async def flood(websocket, message):
    """Send `message` until the server closes; what it says of that."""

    async def send():
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await websocket.send(message)
                await asyncio.sleep(0)

    sending = asyncio.create_task(send())
    async with asyncio.timeout(10):
        try:
            error = await receive(websocket)
            while not error["fatal"]:
                error = await receive(websocket)
            await websocket.wait_closed()
        finally:
            sending.cancel()
    return error["code"], websocket.close_code


# Before the session


@pytest.mark.parametrize("subprotocols", [None, ["npc.v0"]])
async def test_a_client_without_the_subprotocol_is_told_which_one_to_use(running, subprotocols):
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with running.connect(subprotocols=subprotocols):
            pass
    assert refusal.value.response.status_code == 400
    assert b"subprotocol" in refusal.value.response.body


@pytest.mark.parametrize(
    ("first", "code", "closes_with", "hint"),
    [
        ({"type": "text", "text": "hi"}, "start-expected", 1008, "session-start first"),
        (b"\x01", "start-expected", 1008, "audio came before session-start"),
        ({"type": "session-start", "character": "mria"}, "unknown-character", 1008, "have mira, kenji, ada"),
        ({"type": "session-start"}, "bad-event", 1008, "'character' is missing"),
        ("hello?", "bad-json", 1008, "hello?"),
    ],
)
async def test_a_connection_that_does_not_start_a_session_is_closed_with_the_reason(
    running, first, code, closes_with, hint
):
    async with running.connect() as websocket:
        await websocket.send(json.dumps(first) if isinstance(first, dict) else first)
        found = await refused(websocket)
    assert (found[0], found[2]) == (code, closes_with)
    assert hint in found[1]


@pytest.mark.parametrize("token", [None, "", "wrong", "пароль"])
async def test_a_wrong_token_is_refused_and_the_right_one_is_not(start_server, token):
    async with start_server(token="secret") as running:
        async with running.connect() as websocket:
            await websocket.send(json.dumps(START | {"token": token}))
            code, message, closes_with = await refused(websocket)
        assert (code, closes_with) == ("unauthorized", 3000)
        assert "secret" not in message
        async with running.talking(token="secret"):
            pass


async def test_a_connection_that_says_nothing_is_closed(start_server):
    async with start_server(start_timeout_s=0.05) as running, running.connect() as websocket:
        assert (await refused(websocket))[0] == "start-timeout"


async def test_no_more_sessions_than_allowed_and_a_seat_is_free_again_when_its_player_left(start_server):
    async with start_server(max_sessions=1) as running:
        async with running.talking():
            async with running.connect() as second:
                await second.send(json.dumps(START))
                code, _, closes_with = await refused(second)
            assert (code, closes_with) == ("too-many-sessions", 1013)
        await running.engine.sessions[0].has_ended.wait()
        async with running.talking():
            assert running.server.n_sessions == 1


# In a session: the error is told, the session goes on


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("{", "bad-json", "not JSON"),
        ('{"type": "text", "text": "\\ud800"}', "bad-json", "not JSON"),
        ("[" * 100_000, "bad-json", "not JSON"),
        ('{"type": "playback", "turn": NaN, "sample": 0}', "bad-json", "not JSON"),
        ("[1, 2]", "bad-event", "JSON object"),
        ("null", "bad-event", "JSON object"),
        ('{"text": "hi"}', "unknown-type", "'type' is missing"),
        ('{"type": "plaback"}', "unknown-type", "'plaback'; known types are playback, "),
        ('{"type": {"a": 1}}', "unknown-type", "known types are"),
        ('{"type": "text", "text": ""}', "bad-event", "'text' is ''; it should have at least 1 character"),
        ('{"type": "text", "txt": "hi"}', "bad-event", "'txt' is not a field; known fields are text"),
        ('{"type": "playback", "turn": -1, "sample": 0}', "bad-event", "'turn' is -1"),
        (
            '{"type": "action-result", "action": "a1", "outcome": "dnoe"}',
            "bad-event",
            "use 'done', 'failed' or 'refused'",
        ),
        ('{"type": "action-result", "action": "a9", "outcome": "done"}', "unknown-action", "a9"),
        ('{"type": "scene", "scene": {"places": [{"id": "a b"}]}}', "bad-event", "'scene.places.0.id' is 'a b'"),
        ('{"type": "scene", "scene": {"places": [{"id": "a"}, {"id": "a"}]}}', "bad-event", "'a' is used twice"),
        (json.dumps(START), "already-started", "started"),
    ],
)
async def test_an_event_that_cannot_be_used_is_explained_and_the_session_goes_on(running, text, code, hint):
    async with running.talking() as websocket:
        await websocket.send(text)
        error = await receive(websocket)
        assert (error["type"], error["code"], error["fatal"]) == ("error", code, False)
        assert hint in error["message"]
        assert "pydantic" not in error["message"]
        assert len(error["message"]) < 600
        assert await still_talks(websocket)


@pytest.mark.parametrize(
    ("channels", "data", "code"),
    [
        (1, b"", "bad-frame"),
        (1, b"\x01\x00", "bad-frame"),
        (1, AudioFrame(MICROPHONE, 0, 0, b"\x00\x00").pack() + b"\x00", "bad-frame"),
        (1, AudioFrame(REPLY, 0, 0, b"\x00\x00").pack(), "bad-frame"),
        (1, AudioFrame(7, 0, 0, b"\x00\x00").pack(), "bad-frame"),
        (1, b"\x01\xff" + bytes(14), "bad-frame"),
        (2, AudioFrame(MICROPHONE, 0, 0, b"\x00\x00" * 3).pack(), "bad-audio"),
    ],
)
async def test_a_binary_frame_that_is_no_audio_is_explained_and_not_heard(running, channels, data, code):
    async with running.talking(audio={"rate_hz": 16000, "channels": channels}) as websocket:
        await websocket.send(data)
        error = await receive(websocket)
        assert (error["code"], error["fatal"]) == (code, False)
        assert not running.engine.sessions[0].heard
        assert await still_talks(websocket)


async def test_a_failed_turn_ends_and_the_session_goes_on(running):
    async with running.talking() as websocket:
        await websocket.send(json.dumps({"type": "text", "text": "fail"}))
        events = [await receive(websocket) for _ in range(3)]
        assert [event["type"] for event in events] == ["reply-started", "error", "reply-ended"]
        assert (events[1]["code"], events[1]["turn"]) == ("stage-failed", 1)
        assert await still_talks(websocket)


# In a session: the connection ends


async def test_audio_far_ahead_of_real_time_ends_the_connection(start_server):
    async with start_server(max_audio_lead_s=2) as running, running.talking() as websocket:
        second = AudioFrame(MICROPHONE, 0, 0, bytes(2 * 16000)).pack()
        for _ in range(4):
            await websocket.send(second)
        code, message, closes_with = await refused(websocket)
        assert (code, closes_with) == ("audio-too-fast", 1008)
        assert "2 s ahead" in message


async def test_a_flood_of_empty_audio_frames_ends_the_connection(start_server):
    async with start_server(max_audio_lead_s=1) as running, running.talking() as websocket:
        assert await flood(websocket, AudioFrame(MICROPHONE, 0, 0, b"").pack()) == ("audio-too-fast", 1008)


@pytest.mark.parametrize("message", ['{"type": "interrupt"}', b"rubbish"])
async def test_a_flood_of_messages_ends_the_connection(start_server, message):
    async with start_server(max_events_per_s=50) as running, running.talking() as websocket:
        assert await flood(websocket, message) == ("too-many-events", 1008)


async def test_too_large_a_message_ends_the_connection(start_server):
    async with start_server(max_message_bytes=1000) as running, running.talking() as websocket:
        await websocket.send(json.dumps({"type": "text", "text": "a" * 2000}))
        await asyncio.wait_for(websocket.wait_closed(), 10)
        assert websocket.close_code == 1009
        assert "1000 bytes" in websocket.close_reason


async def test_text_that_is_not_utf8_ends_the_connection(running):
    async with running.talking() as websocket:
        await websocket.send(b'{"type": "text", "text": "\xff"}', text=True)
        await asyncio.wait_for(websocket.wait_closed(), 10)
        assert websocket.close_code == 1007


async def test_a_session_that_crashes_ends_its_connection_and_no_other(running, caplog):
    async with running.talking() as other, running.talking() as websocket:
        await websocket.send(json.dumps({"type": "text", "text": "crash"}))
        code, message, closes_with = await refused(websocket)
        assert (code, closes_with) == ("internal", 1011)
        assert "a bug in the engine" not in message
        assert "a bug in the engine" in caplog.text
        assert await still_talks(other)


async def test_a_client_that_ends_the_session_gets_a_plain_close(running):
    async with running.talking() as websocket:
        await websocket.send('{"type": "session-end"}')
        await asyncio.wait_for(websocket.wait_closed(), 10)
        assert websocket.close_code == 1000
