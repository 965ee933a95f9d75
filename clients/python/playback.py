"""An imagined loudspeaker, for programs that play a reply as it arrives and have no position of their own to tell.

It plays frames on arrival, waits where they are late, and reports where it is
every 200 ms and once more when everything was played.
"""

import asyncio
from collections.abc import Awaitable, Callable

from npc.clock import Clock
from npc.frames import AudioFrame

REPORT_MS = 200


class PlaybackReporter:
    def __init__(self, report: Callable[[int, int], Awaitable[None]], rate_hz: int, clock: Clock) -> None:
        self._report = report
        self._rate_hz = rate_hz
        self._clock = clock
        self._turn = -1
        self._from_sample = 0
        self._from_ms = 0.0
        self._end_sample = 0
        self._is_held = False
        self._has_audio = asyncio.Event()

    @property
    def position(self) -> int:
        """The sample of the current turn that is heard now."""
        if self._is_held:
            return self._from_sample
        played = (self._clock.now_ms() - self._from_ms) * self._rate_hz / 1000
        return min(self._end_sample, self._from_sample + int(played))

    def feed(self, frame: AudioFrame) -> None:
        position = self.position
        if frame.turn != self._turn:
            self._turn, self._from_sample, self._from_ms = frame.turn, frame.first_sample, self._clock.now_ms()
            self._is_held = False
        elif position == self._end_sample:  # it had run dry
            self._from_sample, self._from_ms = position, self._clock.now_ms()
        self._end_sample = frame.first_sample + len(frame.pcm) // 2
        self._has_audio.set()

    def hold(self, turn: int) -> None:
        """Stand still until `play_on`."""
        if turn == self._turn and not self._is_held:
            self._from_sample, self._is_held = self.position, True

    def play_on(self, turn: int) -> None:
        if turn == self._turn and self._is_held:
            self._from_ms, self._is_held = self._clock.now_ms(), False

    def stop(self, turn: int) -> None:
        """The reply of `turn` is over or broken off: fall silent."""
        if turn == self._turn:
            self._has_audio.clear()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await self._has_audio.wait()
            await asyncio.sleep(REPORT_MS / 1000)
            turn, position = self._turn, self.position
            if position == self._end_sample:
                self._has_audio.clear()
            await self._report(turn, position)
