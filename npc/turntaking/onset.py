"""The first sign that somebody may be beginning to speak over a reply, which then falls silent until it is known.

Pure. Voice activity needs over 100 ms to be sure of some voices, and a turn begins with two
sure frames. Here one is enough, and after a sudden rise of the sound one that is hardly
likely: keys, noise and most breaths stay below even that, music seldom rises so, and a
cough hushes anyhow.
"""

from collections import deque
from itertools import islice
from typing import Final

RISE_DB: Final = 10.0
"""What is louder by this much than all of the last half second, echo and noise with it, is sudden."""
LIKELY_IF_SUDDEN: Final = 0.2
"""A sudden sound is taken for a voice at this share of the threshold."""
LINGER_MS: Final = 128
"""A sign that is not followed by another is over after this."""
_PAST_FRAMES: Final = 16
_EDGE_FRAMES: Final = 4
"""A rise takes so many frames: those just before are not compared with."""
_LEAST_POWER: Final = 1e-9


class Onset:
    def __init__(self, threshold: float) -> None:
        """`threshold` is the probability of speech at which voice activity is sure."""
        self._threshold = threshold
        self._powers: deque[float] = deque(maxlen=_PAST_FRAMES + _EDGE_FRAMES)  # of the frames before, oldest first
        self._was_likely = False
        self._sign_ms = 0.0  # from the first sign to the end of the last
        self._quiet_ms = float(LINGER_MS)  # since then

    @property
    def lasted_ms(self) -> float:
        """From the first to the last sign of what may be a voice; 0 when there is none, or none any more."""
        return self._sign_ms if self._quiet_ms < LINGER_MS else 0.0

    def push(
        self, probability: float, power: float, whole_power: float, duration_ms: float, *, is_sure: bool = True
    ) -> None:
        """The next frame: how likely it is speech, and its mean square without and with the character's echo.

        Where it is not sure that the sound is no echo, one frame alone is no sign.
        """
        is_likely = probability >= self._threshold * (LIKELY_IF_SUDDEN if self._is_sudden(power) else 1)
        if is_likely and (is_sure or self._was_likely):
            is_first = self._quiet_ms >= LINGER_MS
            self._sign_ms = duration_ms if is_first else self._sign_ms + self._quiet_ms + duration_ms
            self._quiet_ms = 0.0
        else:
            self._quiet_ms += duration_ms
        self._was_likely = is_likely
        self._powers.append(whole_power)

    def _is_sudden(self, power: float) -> bool:
        n_past = len(self._powers) - _EDGE_FRAMES
        if n_past <= 0:
            return False
        past = sum(islice(self._powers, n_past)) / n_past
        return power >= 10 ** (RISE_DB / 10) * max(past, _LEAST_POWER)
