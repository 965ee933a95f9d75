"""What a worker is handed when it is spawned."""

import socket
from dataclasses import dataclass

from npc.config import Server as ServerSettings

from .tally import Tally


@dataclass(frozen=True, slots=True)
class Post:
    worker: int
    """From 0."""
    n_workers: int
    channel: socket.socket
    """To the supervisor."""
    connections: socket.socket
    """From which the connections come."""
    settings: ServerSettings
    tally: Tally
