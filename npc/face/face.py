"""The face of one reply, clause by clause: mouth, emotion, blinks and eyes on one 60 Hz grid.

Frames lie on the reply's sample clock, so that clauses join without a seam and
a client needs no clock beside the audio's. A clause costs about a millisecond
(`npc profile face`): it never holds speech up.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from npc.face.blendshapes import INDEX, MOUTH, VISEME_POSES, Pose, emotion_pose
from npc.face.lips import heard_closures
from npc.face.visemes import Weights, viseme_weights
from npc.feeling.emotions import EMOTIONS, Mix, mix_of
from npc.turn import Speech

FRAME_RATE_HZ = 60

Curves = NDArray[np.float32]  # [frames, 52], 0 to 1, in the order of BLENDSHAPES

_FADE_S = 0.3
"""From one emotion to the next."""
_IN_SPEECH = 0.55
"""How much of an emotion the mouth keeps while it speaks."""
_SHUT_LIPS = 0.15
"""How much of it is left in lips that must meet: a smile parts them."""
_BLINK_S = 0.15
_BLINK_EVERY_S = (2.0, 5.5)
_EYE_DEGREES = 30.0
"""At which an eye's blendshape is 1."""


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """The face during a clause. Frame n lies at sample (first_frame + n) * rate_hz / 60 of the reply."""

    first_frame: int
    visemes: Weights
    blendshapes: Curves

    @property
    def n_frames(self) -> int:
        return len(self.visemes)

    def packed(self) -> bytes:
        """The blendshapes as bytes, 52 a frame, 255 for 1."""
        return np.rint(self.blendshapes * 255).astype(np.uint8).tobytes()


class Face:
    """Keeps what outlasts a clause: the emotion that fades, the next blink. One a reply; equal seeds blink alike."""

    def __init__(self, rate_hz: int, own: Mapping[str, Mix] = MappingProxyType({}), seed: int = 0) -> None:
        """`own`: a character's own emotions, by name."""
        self._rate_hz = rate_hz
        self._own = own
        self._rng = random.Random(seed)
        self._from: Pose = emotion_pose({})
        self._to: Pose = self._from
        self._since_s = -_FADE_S
        self._blinks_s: list[float] = [self._rng.uniform(*_BLINK_EVERY_S)]
        self._gaze: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)]  # (seconds, degrees right, degrees up)

    def feel(self, name: str, strength: float, sample: int) -> None:
        """From `sample` of the reply on, show `name` (unknown: nothing), 0 to 1 strong."""
        at_s = sample / self._rate_hz
        known = name in self._own or name in EMOTIONS
        mix = mix_of(name, self._own) if known else {}
        self._from, self._to = self._emotion(np.array([at_s]))[0], emotion_pose(mix, strength)
        self._since_s = at_s

    def rest(self, mix: Mix) -> None:
        """Show a mood wherever no emotion was written; to be told before the first clause."""
        self._from = self._to = emotion_pose(mix)

    def look(self, right_degrees: float, up_degrees: float, sample: int) -> None:
        """From `sample` on, turn the eyes that far from straight ahead."""
        self._gaze.append((sample / self._rate_hz, right_degrees, up_degrees))

    def clause(self, speech: Speech, start_sample: int) -> FaceTrack:
        """The face while `speech` sounds, which begins at `start_sample` of the reply."""
        step = self._rate_hz / FRAME_RATE_HZ
        first = int(np.ceil(start_sample / step))
        last = int(np.ceil((start_sample + len(speech.audio)) / step))
        at_samples = np.arange(first, last, dtype=np.float64) * step
        heard = heard_closures(speech)
        weights = viseme_weights(speech.phonemes, at_samples - start_sample, self._rate_hz, heard)
        return FaceTrack(first, weights, self._curves(weights, at_samples / self._rate_hz))

    def _curves(self, weights: Weights, at_s: NDArray[np.float64]) -> Curves:
        """Mouth of the speech, emotion around it, eyes on top."""
        emotion = self._emotion(at_s)
        openness, lips = 1 - weights[:, :1], weights[:, 1:2]  # not silent; pressed together
        kept = (1 - (1 - _IN_SPEECH) * openness) * (1 - (1 - _SHUT_LIPS) * lips)
        emotion[:, MOUTH] *= kept
        curves: Curves = weights @ VISEME_POSES + emotion
        self._move_eyes(curves, at_s)
        # Lips meet only as far as the jaw is open: ARKit's mouthClose undoes that much of jawOpen.
        jaw, close = INDEX["jawOpen"], INDEX["mouthClose"]
        curves[:, close] = np.maximum(curves[:, close], lips[:, 0] * curves[:, jaw])
        return np.clip(curves, 0, 1, out=curves)

    def _emotion(self, at_s: NDArray[np.float64]) -> Curves:
        """[frames, 52]: from the last emotion to this one, eased."""
        part = np.clip((at_s - self._since_s) / _FADE_S, 0, 1)
        eased = (part * part * (3 - 2 * part)).astype(np.float32)[:, None]
        return self._from * (1 - eased) + self._to * eased

    def _move_eyes(self, curves: Curves, at_s: NDArray[np.float64]) -> None:
        if not len(at_s):
            return
        while self._blinks_s[-1] < at_s[-1] + _BLINK_S:
            self._blinks_s.append(self._blinks_s[-1] + self._rng.uniform(*_BLINK_EVERY_S))
        self._blinks_s = [blink for blink in self._blinks_s if blink > at_s[0] - _BLINK_S]
        blink = np.zeros(len(at_s), np.float32)
        for start in self._blinks_s:  # quick down, slower up
            part = (at_s - start) / _BLINK_S
            blink = np.maximum(blink, np.clip(np.minimum(part / 0.35, (1 - part) / 0.65), 0, 1).astype(np.float32))
        for side in ("Left", "Right"):
            shut = curves[:, INDEX[f"eyeBlink{side}"]]
            np.maximum(shut, blink, out=shut)
        self._turn_eyes(curves, at_s)

    def _turn_eyes(self, curves: Curves, at_s: NDArray[np.float64]) -> None:
        times, rights, ups = (np.array(column) for column in zip(*self._gaze, strict=True))
        latest = np.maximum(np.searchsorted(times, at_s, side="right") - 1, 0)
        right, up = rights[latest] / _EYE_DEGREES, ups[latest] / _EYE_DEGREES
        for name, amount in (
            ("eyeLookOutRight", right),
            ("eyeLookInLeft", right),
            ("eyeLookInRight", -right),
            ("eyeLookOutLeft", -right),
            ("eyeLookUpLeft", up),
            ("eyeLookUpRight", up),
            ("eyeLookDownLeft", -up),
            ("eyeLookDownRight", -up),
        ):
            curves[:, INDEX[name]] += np.maximum(amount, 0).astype(np.float32)
