"""Connections that one process accepts and another serves: their descriptors go through a Unix socket."""

import os
import socket
from collections.abc import Callable
from typing import Any

from npc.errors import ConfigError


def check_passing(n_workers: int) -> None:
    """Raises ConfigError where the system has no way to pass a connection."""
    if not hasattr(socket, "send_fds"):
        raise ConfigError(
            f"server.workers is {n_workers}, but this system cannot pass connections from one process to another; "
            "set it to 1, or serve on Linux or macOS"
        )


def pass_on(connection: socket.socket, to: socket.socket) -> None:
    """Give `connection` away; the caller closes its own copy. Raises OSError when it is not taken."""
    socket.send_fds(to, [b"\0"], [connection.fileno()])


class PassedConnections(socket.socket):
    """Stands where a listening socket would: what `accept` gives was accepted by whoever has the other end of `pipe`.

    `on_over` is called once for each that was given, as it is closed.
    """

    def __init__(self, pipe: socket.socket, on_over: Callable[[], None]) -> None:
        super().__init__(pipe.family, pipe.type, pipe.proto, fileno=pipe.detach())
        self._on_over = on_over

    def listen(self, backlog: int = 0, /) -> None:
        """It does."""

    def accept(self) -> tuple[socket.socket, Any]:  # the address, of the connection's family
        """Raises BlockingIOError when there is none."""
        _, descriptors, _, _ = socket.recv_fds(self, 1, 1)
        if not descriptors:
            raise BlockingIOError("the other process has gone")
        os.set_inheritable(descriptors[0], False)
        connection = _Passed(descriptors[0], self._on_over)
        try:
            return connection, connection.getpeername()
        except OSError:  # it has gone again
            return connection, ""


class _Passed(socket.socket):
    def __init__(self, descriptor: int, on_over: Callable[[], None]) -> None:
        super().__init__(fileno=descriptor)
        self._on_over: Callable[[], None] | None = on_over

    def close(self) -> None:
        if self._on_over is not None:  # before the client knows of it, which may come back at once
            self._on_over()
            self._on_over = None
        super().close()
