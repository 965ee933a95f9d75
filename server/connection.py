"""One client: a receive loop and an emit loop around a session.

    websocket → wire → limits → session.hear / session.handle
    websocket ← send timeout ← session.next

`run` is the one place where exceptions become wire errors: whatever happens to
this client is told to it where it can still hear, and nobody else notices.
"""

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from npc.clock import Clock
from npc.config import Server as ServerSettings
from npc.errors import InputError, NpcError
from npc.events import AudioInput, ClientEvent, ErrorEvent, ServerEvent, SessionReady, SessionStart
from npc.frames import AudioFrame
from npc.outbox import OutboxClosed as SessionClosed

from .codes import Close, Refusal
from .limits import Bucket, Seats
from .metrics import Metrics
from .wire import read_audio, read_event

log = logging.getLogger(__name__)
E = TypeVar("E", bound=Exception)

MIN_FRAME_S = 0.002
"""The least that a binary frame counts for, so that a flood of empty ones is one."""
FAREWELL_S = 1.0
"""How long a client may take to read why it is refused, and again to answer the closing."""


class Session(Protocol):
    """What a connection needs of `npc.session.Session`."""

    @property
    def id(self) -> str: ...

    @property
    def ready(self) -> SessionReady: ...

    async def run(self) -> None: ...

    def hear(self, pcm: bytes) -> None: ...

    def handle(self, event: ClientEvent) -> None: ...

    async def next(self) -> ServerEvent | AudioFrame: ...


class Engine(Protocol):
    """What the server needs of `npc.engine.Engine`."""

    def open(self, start: SessionStart, /) -> Session: ...


class Connection:
    def __init__(
        self,
        websocket: ServerConnection,
        engine: Engine,
        settings: ServerSettings,
        seats: Seats,
        metrics: Metrics,
        clock: Clock,
        bring: Callable[[SessionStart], Awaitable[None]] | None = None,
    ) -> None:
        """`bring` is called before a session is opened (see `Part`)."""
        self._websocket = websocket
        self._engine = engine
        self._settings = settings
        self._seats = seats
        self._metrics = metrics
        self._clock = clock
        self._bring = bring
        self._events = Bucket(settings.max_events_per_s, settings.max_events_per_s, clock)
        self._audio_lead_s = Bucket(settings.max_audio_lead_s, 1.0, clock)
        self._name = f"connection {str(websocket.id)[:8]}"

    async def run(self) -> None:
        """Serve the client until either side ends it."""
        start_ms = self._clock.now_ms()
        ending = "ended"
        try:
            await self._converse()
        except* ConnectionClosed as gone:
            ending = f"lost: {_first(gone)}"
        except* Refusal as refused:
            refusal = _first(refused)
            ending = f"refused: {refusal.code}"
            await self._refuse(refusal)
        except* Exception:
            ending = "failed"
            log.exception("%s failed", self._name)
            await self._refuse(Refusal("internal", "the server failed; its log says why", Close.INTERNAL))
        log.info("%s %s after %.1f s", self._name, ending, (self._clock.now_ms() - start_ms) / 1000)

    async def _converse(self) -> None:
        start = await self._receive_start()
        with self._seats.take():
            if self._bring is not None:
                await self._bring(start)
            try:
                session = self._engine.open(start)
            except NpcError as error:
                raise Refusal(error.code, str(error)) from error
            self._name = f"session {session.id}"
            log.info("%s opened with %s", self._name, session.ready.character)
            await self._send(session.ready)
            with self._metrics.session():
                async with asyncio.TaskGroup() as tasks:
                    running = tasks.create_task(session.run(), name=f"{self._name} run")
                    tasks.create_task(self._emit(session, running), name=f"{self._name} emit")
                    try:
                        await self._receive(session, start.audio)
                    finally:
                        running.cancel()  # nobody is there to hear the rest

    async def _receive_start(self) -> SessionStart:
        """The first message. Raises Refusal, since nothing can go on without it."""
        limit_s = self._settings.start_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                message = await self._websocket.recv()
        except TimeoutError:
            raise Refusal("start-timeout", f"no session-start within {limit_s:g} s of connecting") from None
        if isinstance(message, bytes):
            raise Refusal("start-expected", "audio came before session-start; send that first")
        try:
            event = read_event(message)
        except InputError as error:
            raise Refusal(error.code, str(error)) from error
        if not isinstance(event, SessionStart):
            raise Refusal("start-expected", f"the first event is '{event.type}'; send session-start first")
        if self._settings.token and not hmac.compare_digest(
            (event.token or "").encode(), self._settings.token.encode()
        ):
            raise Refusal("unauthorized", "the token of session-start is missing or wrong")
        return event

    async def _receive(self, session: Session, audio: AudioInput) -> None:
        """Hand over what the client sends, until it leaves or the session has ended."""
        async for message in self._websocket:
            try:
                if isinstance(message, str):
                    self._count_event()
                    log.debug("%s hears %s", self._name, message)
                    session.handle(read_event(message))
                else:
                    pcm = read_audio(message, audio)
                    self._count_audio(len(pcm) / (2 * audio.channels * audio.rate_hz))
                    session.hear(pcm)
            except InputError as error:
                if isinstance(message, bytes):
                    self._count_event()  # audio that cannot be used is limited like events
                await self._send(ErrorEvent(code=error.code, message=str(error)))

    async def _emit(self, session: Session, running: asyncio.Task[None]) -> None:
        """Send what the session says, then say good-bye."""
        while True:
            try:
                item = await session.next()
            except SessionClosed:
                break
            await self._send(item)
        await running  # a session that failed gets no plain good-bye
        await self._close(Close.NORMAL)

    async def _send(self, item: ServerEvent | AudioFrame) -> None:
        limit_s = self._settings.send_timeout_s
        message = item.pack() if isinstance(item, AudioFrame) else item.model_dump_json()
        if isinstance(message, str):
            log.debug("%s says %s", self._name, message)
        try:
            async with asyncio.timeout(limit_s):
                await self._websocket.send(message)
        except TimeoutError:
            raise Refusal(
                "slow-client", f"nothing was read for {limit_s:g} s; read faster, or on a task of its own"
            ) from None
        self._metrics.sent(item)

    def _count_event(self) -> None:
        if not self._events.pour():
            raise Refusal("too-many-events", f"more than {self._settings.max_events_per_s} events a second")

    def _count_audio(self, duration_s: float) -> None:
        if not self._audio_lead_s.pour(max(duration_s, MIN_FRAME_S)):
            raise Refusal(
                "audio-too-fast",
                f"audio is more than {self._settings.max_audio_lead_s} s ahead of real time; send it as it is recorded",
            )

    async def _refuse(self, refusal: Refusal) -> None:
        """Say why, as far as the client still listens, and close."""
        event = ErrorEvent(code=refusal.code, message=str(refusal), fatal=True)
        self._metrics.sent(event)
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._websocket.send(event.model_dump_json())
        async with asyncio.TaskGroup() as farewell:
            farewell.create_task(self._close(refusal.closes_with, refusal.code))
            farewell.create_task(self._ignore())

    async def _close(self, code: Close, reason: str = "") -> None:
        """Close the websocket; a client that takes no good-bye is cut off."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._websocket.close(code, reason)
        except TimeoutError:  # what was sent before is still in the way
            self._websocket.transport.abort()

    async def _ignore(self) -> None:
        """Read on until the connection is closed: the client's good-bye comes behind what was under way."""
        with contextlib.suppress(ConnectionClosed):
            async for _ in self._websocket:
                pass


def _first(group: ExceptionGroup[E]) -> E:
    """One of the errors in `group`, however deep."""
    found: E | ExceptionGroup[E] = group
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
