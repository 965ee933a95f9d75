"""The server: listens, gives every connection its own task, and ends cleanly.

    async with NpcServer(engine, settings.server) as server:
        print(server.url)
        await stop.wait()

Leaving the block stops accepting, tells every client good-bye (close code 1001)
and returns within a couple of seconds, whatever the clients do.
"""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from npc.clock import Clock, MonotonicClock
from npc.config import Server as ServerSettings
from npc.events import PROTOCOL

from . import health
from .codes import Close
from .connection import Connection, Engine
from .limits import Seats
from .metrics import Metrics

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 1.0
"""How long a client may take to answer the closing of its connection."""
WRITE_BUFFER_BYTES = 32_768
"""Beyond this, and what the operating system takes, sending waits: about 0.7 s of speech at 24 kHz."""


class NpcServer:
    """Serves `engine` on `settings.host` and `.port` (0: any free one). Entering raises OSError when it is taken."""

    def __init__(self, engine: Engine, settings: ServerSettings, clock: Clock | None = None) -> None:
        self.metrics = Metrics()
        self._engine = engine
        self._settings = settings
        self._clock = clock or MonotonicClock()
        self._seats = Seats(settings.max_sessions)
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
        host = self._settings.host
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, f"[{host}]" if ":" in host else host)
        return f"ws://{shown}:{self.port}"

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._server = await serve(
            self._serve_client,
            settings.host,
            settings.port,
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
        )
        if settings.metrics_port:
            try:
                _, self._stop_metrics = self.metrics.serve(settings.host, settings.metrics_port)
            except OSError:
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
                async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                    await self._server.wait_closed()
            except TimeoutError:  # a connection that never finished its handshake, or a session that does not end
                for task in tuple(self._server.handler_tasks):
                    task.cancel()
        if self._stop_metrics is not None:
            await asyncio.to_thread(self._stop_metrics)
            self._stop_metrics = None

    async def _serve_client(self, websocket: ServerConnection) -> None:
        await Connection(websocket, self._engine, self._settings, self._seats, self.metrics, self._clock).run()

    def _answer_plain(self, websocket: ServerConnection, request: Request) -> Response | None:
        is_ready = self._server is not None and self._server.is_serving()
        return health.answer(request, self.n_sessions, self._seats.n_seats, is_ready)
