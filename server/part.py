"""What a server is told that is one of several processes behind one address."""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from npc.events import SessionStart

from .limits import Seats


@dataclass(frozen=True, slots=True)
class Part:
    listening: socket.socket
    """Where its share of the connections comes from."""
    seats: Seats
    are_all_ready: Callable[[], bool]
    """Whether every process takes sessions."""
    bring: Callable[[SessionStart], Awaitable[None]]
    """Gets the talk that a session takes up from the process that has it; called before the session is opened."""
