"""Where a loudspeaker stands that plays each frame when it comes, and waits where the next one is late.

What is known of playback at a client that does not report it. Pure: no clock.
"""


class Playhead:
    """Times are milliseconds of the latency clock, positions samples of the reply."""

    def __init__(self, rate_hz: int) -> None:
        self._per_ms = rate_hz / 1000
        self._from_sample = 0
        self._from_ms = 0.0
        self._end_sample = 0
        self._has_begun = False
        self._is_held = False

    @property
    def has_begun(self) -> bool:
        return self._has_begun

    @property
    def is_held(self) -> bool:
        return self._is_held

    def sent(self, end_sample: int, now_ms: float) -> None:
        """Audio up to `end_sample` is at the loudspeaker."""
        if not self._has_begun or (not self._is_held and self.at(now_ms) >= self._end_sample):  # it stood still
            self._from_sample, self._from_ms = self._end_sample, now_ms
        self._has_begun = True
        self._end_sample = end_sample

    def at(self, now_ms: float) -> int:
        """The sample that is heard now."""
        if not self._has_begun or self._is_held:
            return self._from_sample
        return min(self._end_sample, self._from_sample + int((now_ms - self._from_ms) * self._per_ms))

    def hold(self, now_ms: float) -> None:
        """Stand still."""
        self._from_sample, self._is_held = self.at(now_ms), True

    def go_on(self, now_ms: float) -> None:
        if self._is_held:
            self._from_ms, self._is_held = now_ms, False

    def due_ms(self, sample: int) -> float | None:
        """When `sample` is heard, or was; None where that depends on audio that is not here, or on being held."""
        if not self._has_begun or self._is_held or sample > self._end_sample:
            return None
        return self._from_ms + (sample - self._from_sample) / self._per_ms
