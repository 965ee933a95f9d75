"""The server: listens, gives every connection its own task, and ends cleanly.

    async with NpcServer(engine, settings.server) as server:
        print(server.url)
        await until_signalled()

Leaving the block stops accepting, tells every client good-bye (close code 1001)
and returns within a couple of seconds, whatever the clients do.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from npc.clock import Clock, MonotonicClock
from npc.config import Server as ServerSettings
from npc.errors import ConfigError
from npc.events import PROTOCOL

from . import health
from .address import cannot_listen, url_of
from .codes import Close
from .connection import Connection, Engine
from .limits import Seats
from .metrics import Metrics, serve_metrics
from .part import Part

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 1.0
"""How long a client may take to answer the closing of its connection."""
WRITE_BUFFER_BYTES = 32_768
"""Beyond this, and what the operating system takes, sending waits: about 0.7 s of speech at 24 kHz."""


class NpcServer:
    """Serves `engine` on `settings.host` and `.port` (0: any free one). Entering raises ConfigError when it cannot.

    With `part`, it serves the connections that it is given there instead, and no metrics.
    """

    def __init__(
        self, engine: Engine, settings: ServerSettings, clock: Clock | None = None, part: Part | None = None
    ) -> None:
        self.metrics = Metrics()
        self._engine = engine
        self._settings = settings
        self._clock = clock or MonotonicClock()
        self._part = part
        self._seats = Seats(settings.max_sessions) if part is None else part.seats
        self._server: Server | None = None
        self._stop_metrics: Callable[[], None] | None = None

    @property
    def n_sessions(self) -> int:
        return self._seats.n_taken

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if self._server is None:
            raise RuntimeError("the server does not listen yet; enter it with `async with`")
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return url_of(self._settings.host, self.port)

    async def __aenter__(self) -> Self:
        settings = self._settings
        here = {"host": settings.host, "port": settings.port}
        where: dict[str, Any] = here if self._part is None else {"sock": self._part.listening}
        listening = serve(
            self._serve_client,
            subprotocols=[Subprotocol(PROTOCOL)],
            process_request=self._answer_plain,
            compression=None,  # PCM hardly shrinks, and deflating costs a turn milliseconds
            max_size=settings.max_message_bytes,
            write_limit=WRITE_BUFFER_BYTES,
            open_timeout=settings.start_timeout_s,
            ping_interval=settings.keepalive_s,
            ping_timeout=settings.keepalive_s,
            close_timeout=CLOSE_TIMEOUT_S,
            logger=logging.getLogger("npc.server.websocket"),
            **where,
        )
        try:
            self._server = await listening
        except OSError as error:
            raise cannot_listen(error, settings.host, settings.port, "port") from error
        if settings.metrics_port and self._part is None:
            try:
                self._stop_metrics = serve_metrics(self.metrics.registry, settings.host, settings.metrics_port)
            except ConfigError:
                await self._close()
                raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close(code=Close.GOING_AWAY, reason="the server is shutting down")
            try:
                async with asyncio.timeout(1.5 * CLOSE_TIMEOUT_S):
                    await self._server.wait_closed()
            except TimeoutError:  # a client that does not read, or never finished its handshake
                for websocket in tuple(self._server.all_connections):
                    websocket.transport.abort()
                for task in tuple(self._server.handler_tasks):
                    task.cancel()
                await self._server.wait_closed()
        if self._stop_metrics is not None:
            await asyncio.to_thread(self._stop_metrics)
            self._stop_metrics = None

    async def _serve_client(self, websocket: ServerConnection) -> None:
        bring = None if self._part is None else self._part.bring
        await Connection(websocket, self._engine, self._settings, self._seats, self.metrics, self._clock, bring).run()

    def _answer_plain(self, websocket: ServerConnection, request: Request) -> Response | None:
        is_ready = self._server is not None and self._server.is_serving()
        is_ready = is_ready and (self._part is None or self._part.are_all_ready())
        return health.answer(request, self.n_sessions, self._seats.n_seats, is_ready)


async def until_signalled(*numbers: signal.Signals) -> None:
    """Return at the first of these signals, by default Ctrl-C and SIGTERM; a second one ends the program."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    previous = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(signalled.set))
        for number in numbers or (signal.SIGINT, signal.SIGTERM)
    }
    try:
        await signalled.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
