"""When a player's turn begins, may be over, goes on, and is over. Decides, and does nothing else.

Fed the probability of speech frame by frame, it answers with events in the
order  TurnStarted (Paused Resumed)* [Paused] TurnEnded,  over and over. All
positions count samples of the microphone's stream at 16 kHz. How much silence
ends a turn is what was set in this pause (`set_wait`, `reconsider`), and until
then asked of `patience` at every frame.

    quiet ──voiced for start_ms──→ speech ──silent for pause_ms──→ pause ──silent for the wait──→ quiet
                                     ↑──────voiced for start_ms──────┘
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from npc.config import TurnTaking
from npc.turn import HEARING_RATE_HZ
from npc.turntaking.policy import Evidence, endpoint_ms

HYSTERESIS = 0.15
"""Speech that was detected goes on down to this much below the threshold."""

END_LAG_MS = 48
"""How long silero's probability stays up after the last sound: the median to the end of its last voiced frame is 65 ms
over 60 clips of five synthetic voices and of people, and half a frame of that is rounding."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The player speaks: since `speech_start_sample`, surely by `at_sample`."""

    at_sample: int
    speech_start_sample: int


@dataclass(frozen=True, slots=True)
class Paused:
    """The turn may be over: the reply may be begun, unheard."""

    at_sample: int
    speech_end_sample: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The player went on: what was begun at the pause is void."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over. `speech_end_sample` is the best estimate of the true last sample of speech."""

    at_sample: int
    speech_end_sample: int
    reason: Literal["silence", "released", "too-long"] = "silence"


DetectorEvent = TurnStarted | Paused | Resumed | TurnEnded


@dataclass(frozen=True, slots=True)
class Lull:
    """The silence that `patience` judges."""

    speech_ms: float
    """From the start of the turn to its last sound."""
    silence_ms: float


Patience = Callable[[Lull], float]
"""How many milliseconds of silence end the turn, as things stand."""


class TurnDetector:
    def __init__(self, settings: TurnTaking, patience: Patience | None = None) -> None:
        self._settings = settings
        self._patience: Patience = patience or (lambda lull: settings.endpoint_ms)
        self._n_heard = 0
        self._phase: Literal["quiet", "speech", "pause"] = "quiet"
        self._turn_start = 0
        self._voiced_end = 0  # of the last voiced frame
        self._burst_start: int | None = None  # of the current run of voiced frames
        self._is_held = False
        self._wait_ms: float | None = None  # in this pause; None: as patience says

    @property
    def is_in_turn(self) -> bool:
        return self._phase != "quiet"

    @property
    def n_heard(self) -> int:
        """Samples pushed so far."""
        return self._n_heard

    @property
    def is_paused(self) -> bool:
        return self._phase == "pause"

    @property
    def speech_end_sample(self) -> int:
        """Of the turn that is going on, as far as it was heard."""
        return self._speech_end

    @property
    def is_silent(self) -> bool:
        """Nothing was heard in the newest frame."""
        return self._burst_start is None

    @property
    def speech_ms(self) -> float:
        """From the start of the turn to its last sound; 0 outside a turn."""
        return _ms(self._speech_end - self._turn_start) if self.is_in_turn else 0.0

    @property
    def silence_ms(self) -> float:
        """Since the last sound of a turn that has paused; 0 while it is spoken, and outside a turn."""
        return self._silence_ms() if self.is_paused else 0.0

    def push(self, probability: float, n_samples: int) -> tuple[DetectorEvent, ...]:
        """The next frame, `n_samples` long."""
        frame_start = self._n_heard
        self._n_heard += n_samples
        if self._is_voiced(probability):
            if self._burst_start is None:
                self._burst_start = frame_start
        else:
            self._burst_start = None
        match self._phase:
            case "quiet":
                return self._wait_for_speech()
            case _ if self._n_heard - self._turn_start >= self._settings.max_utterance_s * HEARING_RATE_HZ:
                return (self._end_turn("too-long"),)
            case "speech":
                return self._follow_speech()
            case "pause":
                return self._wait_out_pause()

    def hold(self) -> tuple[DetectorEvent, ...]:
        """The player pressed the talk key: a turn is on, whatever is heard, until `end_now` or its longest length."""
        self._is_held = True
        if self._phase == "speech":
            return ()
        if self._phase == "quiet":
            return self._start_turn(self._n_heard if self._burst_start is None else self._burst_start)
        self._phase = "speech"
        return (Resumed(self._n_heard),)

    def reconsider(self, evidence: Evidence) -> tuple[DetectorEvent, ...]:
        """Wait as long as `evidence` suggests. Outside a pause nothing happens."""
        return self.set_wait(endpoint_ms(evidence, self._settings))

    def set_wait(self, wait_ms: float) -> tuple[DetectorEvent, ...]:
        """How much silence ends the turn, in this pause alone. The turn ends here and now when there was that much."""
        if self._phase != "pause":
            return ()
        self._wait_ms = wait_ms
        return self._end_if_silent() if self._burst_start is None else ()

    def end_now(self) -> tuple[DetectorEvent, ...]:
        """The player let go of the talk key. Ends the turn, even one that was about to start; none is no error."""
        if self._phase != "quiet":
            return (self._end_turn("released"),)
        if self._burst_start is None:
            return ()
        return (*self._start_turn(self._burst_start), self._end_turn("released"))

    def reset(self) -> None:
        """Forget a turn that is going on; the sample count goes on."""
        self._phase = "quiet"
        self._burst_start = None
        self._is_held = False

    def _is_voiced(self, probability: float) -> bool:
        threshold = self._settings.speech_threshold
        return probability >= (threshold if self._burst_start is None else max(threshold - HYSTERESIS, threshold / 2))

    def _wait_for_speech(self) -> tuple[DetectorEvent, ...]:
        if self._burst_start is None or _ms(self._n_heard - self._burst_start) < self._settings.start_ms:
            return ()
        return self._start_turn(self._burst_start)

    def _follow_speech(self) -> tuple[DetectorEvent, ...]:
        if self._burst_start is not None:
            self._voiced_end = self._n_heard
            return ()
        if self._is_held or self._silence_ms() < self._settings.pause_ms:
            return ()
        self._phase = "pause"
        self._wait_ms = None
        return (Paused(self._n_heard, self._speech_end), *self._end_if_silent())

    def _wait_out_pause(self) -> tuple[DetectorEvent, ...]:
        if self._burst_start is None:
            return self._end_if_silent()
        # Maybe speech, maybe a click: the turn neither ends nor goes on before that is known.
        if _ms(self._n_heard - self._burst_start) < self._settings.start_ms:
            return ()
        self._phase = "speech"
        self._voiced_end = self._n_heard
        return (Resumed(self._n_heard),)

    def _start_turn(self, start: int) -> tuple[DetectorEvent, ...]:
        self._phase = "speech"
        self._turn_start = start
        self._voiced_end = self._n_heard
        return (TurnStarted(self._n_heard, start),)

    def _end_if_silent(self) -> tuple[DetectorEvent, ...]:
        silence_ms = self._silence_ms()
        wait_ms = self._patience(Lull(self.speech_ms, silence_ms)) if self._wait_ms is None else self._wait_ms
        return (self._end_turn("silence"),) if silence_ms >= wait_ms else ()

    def _end_turn(self, reason: Literal["silence", "released", "too-long"]) -> TurnEnded:
        ended = TurnEnded(self._n_heard, self._speech_end, reason)
        self.reset()
        return ended

    @property
    def _speech_end(self) -> int:
        """The true last sample of speech, as far as frames tell."""
        if self._burst_start is not None:
            return self._n_heard
        return max(self._voiced_end - END_LAG_MS * HEARING_RATE_HZ // 1000, self._turn_start)

    def _silence_ms(self) -> float:
        return _ms(self._n_heard - self._speech_end)


def _ms(n_samples: int) -> float:
    return n_samples * 1e3 / HEARING_RATE_HZ
