"""What a session has said and its connection has not yet sent.

Events never wait; audio does, so that a client that does not read stops its own
reply and nothing else. A reply that is dropped takes its queued frames along.
"""

import asyncio
from collections import deque

from npc.events import ServerEvent
from npc.frames import AudioFrame


class OutboxClosed(Exception):
    """The session has ended and everything that it said was taken."""


class Outbox:
    def __init__(self, max_audio_frames: int) -> None:
        self._items: deque[ServerEvent | AudioFrame] = deque()
        self._max_audio_frames = max_audio_frames
        self._n_audio_frames = 0
        self._is_closed = False
        self._holds_audio = False
        self._has_items = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def put(self, item: ServerEvent | AudioFrame) -> None:
        if self._is_closed:
            return
        self._items.append(item)
        self._n_audio_frames += isinstance(item, AudioFrame)
        self._signal()

    async def room(self) -> None:
        """Wait until there is room for audio."""
        await self._has_room.wait()

    async def take(self) -> ServerEvent | AudioFrame:
        """The next thing to send. Raises OutboxClosed at the end."""
        while True:
            await self._has_items.wait()
            if not self._items:
                raise OutboxClosed
            item = self._items.popleft() if not self._holds_audio else self._take_event()
            if item is not None:
                self._n_audio_frames -= isinstance(item, AudioFrame)
                self._signal()
                return item
            self._has_items.clear()

    def _take_event(self) -> ServerEvent | None:
        """The first that is no audio: what is held back does not keep the rest."""
        for index, item in enumerate(self._items):
            if not isinstance(item, AudioFrame):
                del self._items[index]
                return item
        return None

    def hold_audio(self) -> None:
        """Let no audio leave until `release_audio`."""
        self._holds_audio = True

    def release_audio(self) -> None:
        self._holds_audio = False
        self._signal()

    def drop_audio(self, turn: int) -> None:
        """Forget the audio of `turn` that is not yet sent."""
        self._items = deque(item for item in self._items if not (isinstance(item, AudioFrame) and item.turn == turn))
        self._n_audio_frames = sum(isinstance(item, AudioFrame) for item in self._items)
        self._signal()

    def close(self) -> None:
        self._is_closed = True
        self._signal()

    def _signal(self) -> None:
        for event, is_set in (
            (self._has_items, bool(self._items) or self._is_closed),
            (self._has_room, self._n_audio_frames < self._max_audio_frames or self._is_closed),
        ):
            if is_set:
                event.set()
            else:
                event.clear()
