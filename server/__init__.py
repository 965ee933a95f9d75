"""The websocket server: connections in, conversations out. Speaks `npc.v1` (docs/protocol.md).

A connection is a receive loop and an emit loop around a session of the engine;
`app` listens and ends cleanly, `wire` reads what clients send, `codes` lists
every error that they can be told.
"""

from .address import check_address
from .app import NpcServer, until_signalled

__all__ = ["NpcServer", "check_address", "until_signalled"]
