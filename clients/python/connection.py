"""A conversation over one websocket.

    microphone → send_audio ─┐                    ┌→ events, as they come (`async for`)
    say, result, … ──────────┴→ npc.v1 websocket ─┴→ or gathered turn by turn (`reply`)

One task at a time reads; any may send. Nothing is read ahead of the reader
beyond what the websocket buffers, so a program that stops reading stops its
own reply.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, Self
from urllib.parse import urlsplit

import numpy as np
import websockets
from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConcurrencyError, ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from npc.clock import Clock, MonotonicClock
from npc.errors import InputError
from npc.events import (
    PROTOCOL,
    ActionProgress,
    ActionResult,
    AudioInput,
    ClientEvent,
    ErrorEvent,
    FaceChoice,
    Interrupt,
    Playback,
    PlayerText,
    ReplyEnded,
    ReplyHushed,
    ReplyResumed,
    SceneDeltaEvent,
    SceneUpdate,
    ServerEvent,
    SessionEnd,
    SessionReady,
    SessionStart,
    SpeechEnd,
    SpeechStart,
    server_event,
)
from npc.frames import MICROPHONE, AudioFrame, to_pcm
from npc.turn import Samples
from npc.world import Scene, SceneDelta

from .playback import PlaybackReporter
from .reply import Reply

FRAME_MS = 20
"""Microphone audio leaves in frames of this length when a recording is streamed."""
MAX_FRAME_MS = 1000
CLOSE_TIMEOUT_S = 2.0
MAX_UNREAD = 2048
"""Messages kept for a reader that is busy elsewhere: more than a minute of a reply."""


class ServerRefused(Exception):
    """The server refused what it was sent. `code` is one of docs/protocol.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} [{code}]")
        self.code = code
        self.message = message


class ConnectionLost(Exception):
    """There is no server at the address, or it went away."""


class NpcConnection:
    """Use `connect`, which opens it."""

    def __init__(self, websocket: ClientConnection, start: SessionStart, clock: Clock) -> None:
        self.audio = start.audio
        """The format that `send_audio` sends in."""
        self._websocket = websocket
        self._start = start
        self._clock = clock
        self._sent_samples = 0
        self._dropped_turn = -1
        self._collected_turn = 0
        self._playing_turn = 0
        self._playback: PlaybackReporter | None = None
        self._ready: SessionReady | None = None

    @property
    def ready(self) -> SessionReady:
        """Who answers, and at what rate the reply's audio comes."""
        if self._ready is None:
            raise RuntimeError("the session has not begun; use `async with connect(…)`")
        return self._ready

    @property
    def last_turn(self) -> int:
        """The newest turn that is over or was gathered by `reply`; 0 before the first."""
        return self._collected_turn

    # Speaking and acting

    async def send_audio(self, audio: Samples | bytes) -> None:
        """Microphone audio in the format of `audio`: float32 [n] in [-1, 1], mono, or 16-bit little-endian PCM."""
        pcm = audio if isinstance(audio, bytes) else to_pcm(audio.repeat(self.audio.channels))
        bytes_per_sample = 2 * self.audio.channels
        step = self.audio.rate_hz * MAX_FRAME_MS // 1000 * bytes_per_sample
        for offset in range(0, len(pcm), step):
            part = pcm[offset : offset + step]
            await self._send(AudioFrame(MICROPHONE, 0, self._sent_samples, part).pack())
            self._sent_samples += len(part) // bytes_per_sample

    async def stream_speech(self, audio: Samples, rate_hz: int, pace: float = 1.0, silence_ms: int = 0) -> float:
        """Send a recording as a microphone would: in frames of 20 ms, `pace` times as fast as real time (0: at once).

        Follow it with `silence_ms` of silence, from which the server knows that the player has
        finished, or with `end_speech`. Returns when the last sample of `audio` left, in
        milliseconds of the connection's clock. Raises ValueError when `rate_hz` is not the
        rate that the connection was opened with.
        """
        if rate_hz != self.audio.rate_hz:
            raise ValueError(f"audio at {rate_hz} Hz on a connection opened for {self.audio.rate_hz} Hz; resample it")
        streamed = np.concatenate([audio, np.zeros(rate_hz * silence_ms // 1000, np.float32)])
        step = rate_hz * FRAME_MS // 1000
        start_ms = left_ms = self._clock.now_ms()
        for offset in range(0, len(streamed), step):
            frame = streamed[offset : offset + step]
            if pace:
                due_ms = start_ms + (offset + len(frame)) * 1000 / rate_hz / pace
                await asyncio.sleep(max(0.0, due_ms - self._clock.now_ms()) / 1000)
            await self.send_audio(frame)
            if offset < len(audio):
                left_ms = self._clock.now_ms()
        return left_ms

    async def start_speech(self) -> None:
        """A push-to-talk key went down: until `end_speech`, pauses do not end the turn."""
        await self._say(SpeechStart())

    async def end_speech(self) -> None:
        """The player has finished; do not wait for silence."""
        await self._say(SpeechEnd())

    async def say(self, text: str) -> None:
        """The player types instead of speaking."""
        await self._say(PlayerText(text=text))

    async def update_scene(self, scene: Scene) -> None:
        """What is around the character now, in whole."""
        await self._say(SceneUpdate(scene=scene))

    async def change_scene(self, delta: SceneDelta) -> None:
        """What has changed around the character; up to 30 times a second."""
        await self._say(SceneDeltaEvent(delta=delta))

    async def progress(self, action: str, progress: float) -> None:
        """How far a long action is, 0 to 1; it is then waited for anew."""
        await self._say(ActionProgress(action=action, progress=progress))

    async def result(self, action: str, outcome: Literal["done", "failed", "refused"], reason: str = "") -> None:
        """What became of the action with this id."""
        await self._say(ActionResult(action=action, outcome=outcome, reason=reason))

    async def playback(self, turn: int, sample: int) -> None:
        """How far the player has heard the reply of `turn`."""
        await self._say(Playback(turn=turn, sample=sample))

    async def interrupt(self) -> None:
        """Stop the reply; what is still under way of its audio is dropped."""
        self._drop(self._playing_turn)
        await self._say(Interrupt())

    async def end(self) -> None:
        """Leave: the server closes the connection, and iteration ends."""
        await self._say(SessionEnd())

    # Listening

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerEvent | AudioFrame:
        """The next event or audio frame; frames of a turn that is over are left out.

        Raises ServerRefused on an error that ends the connection, and ConnectionLost.
        """
        while (item := await self._receive()) is not None:
            match item:
                case ErrorEvent(fatal=True, code=code, message=message):
                    raise ServerRefused(code, message)
                case AudioFrame(turn=turn):
                    if turn <= self._dropped_turn:
                        continue
                    self._playing_turn = turn
                    if self._playback is not None:
                        self._playback.feed(item)
                case ReplyHushed(turn=turn) if self._playback is not None:
                    self._playback.hold(turn)
                case ReplyResumed(turn=turn) if self._playback is not None:
                    self._playback.play_on(turn)
                case ReplyEnded(turn=turn):
                    self._drop(turn)
                    self._collected_turn = max(self._collected_turn, turn)
                case _:
                    pass
            return item
        raise StopAsyncIteration

    async def reply(self, *, wait_until: Literal["over", "received"] = "over") -> Reply:
        """Gather the next turn: the first that no earlier call has returned and whose end was not yet read.

        Returns when the reply was played to its end (as reported, or in real time) or
        broken off, or already when all of it has arrived. One that the player went on
        before, unheard, is left out: the next is gathered, which answers to everything.
        Raises ServerRefused when the server could not use something that it was sent, and
        ConnectionLost.
        """
        reply = Reply(self.ready.rate_hz, after_turn=self._collected_turn)
        async for event in self:
            if isinstance(event, ErrorEvent) and event.turn is None:
                raise ServerRefused(event.code, event.message)
            reply.add(event)
            if not (reply.is_over or (wait_until == "received" and reply.is_received)):
                continue
            self._collected_turn = max(self._collected_turn, reply.turn or 0)
            if not reply.is_continued:
                return reply
            reply = Reply(self.ready.rate_hz, after_turn=self._collected_turn)
        raise ConnectionLost("the connection ended before the reply did")

    # The websocket

    async def _begin(self) -> None:
        await self._say(self._start)
        async for event in self:
            if not isinstance(event, SessionReady):
                raise ConnectionLost(f"the server began with {event!r}; is it an {PROTOCOL} server?")
            self._ready = event
            return
        raise ConnectionLost("the server closed the connection before the session began")

    async def _report_playback(self) -> None:
        self._playback = PlaybackReporter(self.playback, self.ready.rate_hz, self._clock)
        with contextlib.suppress(ConnectionLost, ServerRefused):  # whoever reads is told
            await self._playback.run()

    async def _say(self, event: ClientEvent) -> None:
        await self._send(event.model_dump_json(exclude_none=True))

    async def _send(self, message: str | bytes) -> None:
        try:
            await self._websocket.send(message)
        except ConnectionClosed as closed:
            raise await self._why_closed(closed) from None

    async def _receive(self) -> ServerEvent | AudioFrame | None:
        """The next message; None when the server closed the connection in peace."""
        try:
            message = await self._websocket.recv()
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code == CloseCode.NORMAL_CLOSURE:
                return None
            raise _lost(closed) from None
        try:
            return AudioFrame.unpack(message) if isinstance(message, bytes) else server_event.validate_json(message)
        except (InputError, ValidationError) as error:
            raise ConnectionLost(f"the server sent something that is not {PROTOCOL}: {error}") from error

    async def _why_closed(self, closed: ConnectionClosed) -> Exception:
        """The server may have said why before it closed: that is among what was not read yet."""
        try:
            async for _ in self:
                pass
        except ServerRefused as refused:
            return refused
        except (ConnectionLost, ConcurrencyError):  # nothing was said, or another task reads and is told
            pass
        return _lost(closed)

    def _drop(self, turn: int) -> None:
        self._dropped_turn = max(self._dropped_turn, turn)
        if self._playback is not None:
            self._playback.stop(turn)


@asynccontextmanager
async def connect(
    url: str = "ws://127.0.0.1:8765",
    *,
    character: str,
    audio: AudioInput | None = None,
    token: str | None = None,
    scene: Scene | None = None,
    player: str = "player",
    reply: Literal["speech", "text"] = "speech",
    face: FaceChoice = "none",
    resume: str | None = None,
    report_playback: bool = False,
    clock: Clock | None = None,
) -> AsyncIterator[NpcConnection]:
    """Open a conversation with `character`.

    `reply` "text" asks for words and actions without audio, `face` for `face` events.
    `resume` is the id (`ready.session`) of a session whose connection was lost. With `report_playback`,
    the server is told where playback is as if each frame were played on arrival;
    a program that really plays calls `playback` itself. Raises ServerRefused
    (unknown character, wrong token, too many sessions, …) and ConnectionLost.
    """
    start = SessionStart(
        character=character,
        audio=audio or AudioInput(),
        token=token,
        scene=scene,
        player=player,
        reply=reply,
        resume=resume,
        face=face,
    )
    clock = clock or MonotonicClock()
    websocket = await _open(url)
    try:
        npc = NpcConnection(websocket, start, clock)
        await npc._begin()
        reporting = asyncio.create_task(npc._report_playback()) if report_playback else None
        try:
            yield npc
        finally:
            if reporting is not None:
                reporting.cancel()
                await asyncio.wait({reporting})
    finally:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await websocket.close()
        except TimeoutError:
            websocket.transport.abort()


async def _open(url: str) -> ClientConnection:
    is_local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    try:
        return await websockets.connect(
            url,
            subprotocols=[Subprotocol(PROTOCOL)],
            compression=None,
            max_size=None,
            max_queue=MAX_UNREAD,
            close_timeout=CLOSE_TIMEOUT_S,
            proxy=None if is_local else True,
        )
    except InvalidStatus as refused:
        body = (refused.response.body or b"").decode(errors="replace").strip()
        raise ServerRefused(f"http-{refused.response.status_code}", body) from None
    except (OSError, WebSocketException) as error:
        raise ConnectionLost(f"no {PROTOCOL} server answers at {url}: {error}; `npc serve` starts one") from error


def _lost(closed: ConnectionClosed) -> Exception:
    """What a closing means to the program that talks."""
    if closed.rcvd is None:
        return ConnectionLost("the connection broke: the server or the network went away")
    match closed.rcvd.code:
        case CloseCode.GOING_AWAY:
            return ConnectionLost("the server is shutting down")
        case CloseCode.MESSAGE_TOO_BIG:
            return ServerRefused("too-large", f"a message was larger than the server takes: {closed.rcvd.reason}")
        case CloseCode.NORMAL_CLOSURE:
            return ConnectionLost("the session has ended")
        case code:  # the reason is the error's code
            return ServerRefused(closed.rcvd.reason or f"close-{code}", "the server closed the connection")
