"""Holds a reply back until the player's turn is over.

Until the curtain rises nothing leaves and nothing is changed, so that a reply
which was begun too early can be thrown away without a trace.
"""

import asyncio
from collections.abc import Callable

from npc.events import ServerEvent
from npc.frames import AudioFrame
from npc.outbox import Outbox

MAX_HELD = 100
"""Events and frames of audio made ahead; more would be work thrown away if the player goes on."""


class Curtain:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._held: list[Callable[[], None]] = []
        self._risen = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return self._risen.is_set()

    def put(self, item: ServerEvent | AudioFrame) -> None:
        """Send it, now or when the curtain rises."""
        self.do(lambda: self._outbox.put(item))

    def do(self, act: Callable[[], None]) -> None:
        """Change something, in its order among what is sent."""
        if self.is_up:
            act()
        else:
            self._held.append(act)

    def rise(self) -> None:
        self._risen.set()
        for act in self._held:
            act()
        self._held.clear()

    async def wait(self) -> None:
        await self._risen.wait()

    async def room(self) -> None:
        """Wait while enough audio is held or queued."""
        if len(self._held) >= MAX_HELD:
            await self._risen.wait()
        if self.is_up:
            await self._outbox.room()
