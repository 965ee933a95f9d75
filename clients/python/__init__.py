"""The Python client: talk with a character over the websocket, with typed events.

    async with connect("ws://127.0.0.1:8765", character="mira") as npc:
        await npc.say("Where is the well?")
        reply = await npc.reply()
        print(reply.text, reply.actions)

Light to import: websockets, pydantic and numpy, no models.
"""

from .connection import ConnectionLost, NpcConnection, ServerRefused, connect
from .reply import Reply

__all__ = ["ConnectionLost", "NpcConnection", "Reply", "ServerRefused", "connect"]
