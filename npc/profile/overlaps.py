"""Barge-in judged offline: how soon a reply falls silent under a voice, and how often under nothing.

A reply, its echo, a voice and a noise meet at a simulated microphone; the ear of a session
hears it in chunks of 20 ms, in audio time. What the models and the network take comes on top.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from npc.config import TurnTaking
from npc.ear import Ear
from npc.events import AudioInput, ReplyEnded, ReplyHushed, ReplyResumed
from npc.frames import REPLY, AudioFrame, to_pcm
from npc.profile.room import CHUNK_MS, EchoRoom
from npc.stages import VoiceActivity
from npc.turn import HEARING_RATE_HZ, Samples
from npc.turntaking import Overlap, react

_PER_MS: Final = HEARING_RATE_HZ // 1000
REPLY_FRAME_MS: Final = 60
BETWEEN_MS: Final = 1500
DEAF_MS: Final = 1000
GOAL_MS: Final = 150


@dataclass(frozen=True, slots=True)
class Hush:
    """Of a reply, from its first sample; `end_ms` is when it was taken up again, or the listening ended."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Overheard:
    """A reply as it was played. `voice_ms` is when somebody began to speak over it, if anybody did."""

    duration_ms: float
    voice_ms: float | None
    hushes: tuple[Hush, ...]

    @property
    def was_silent(self) -> bool:
        """It had fallen silent before anybody spoke, and was still when somebody did."""
        at_ms = self.voice_ms
        return at_ms is not None and any(hush.start_ms < at_ms < hush.end_ms for hush in self.hushes)

    @property
    def silent_ms(self) -> float | None:
        """From the player's first sample until it was silent; None where that did not come about within a second."""
        if self.voice_ms is None or self.was_silent:
            return None
        waits = [hush.start_ms - self.voice_ms for hush in self.hushes if hush.start_ms >= self.voice_ms]
        return waits[0] if waits and waits[0] <= DEAF_MS else None

    @property
    def false_hushes(self) -> tuple[Hush, ...]:
        """Those under which nobody spoke."""
        until_ms = self.duration_ms if self.voice_ms is None else self.voice_ms
        return tuple(hush for hush in self.hushes if hush.start_ms < until_ms)


class Talk:
    """A player's ear and room over several replies, with what was learnt of the room kept between them."""

    def __init__(self, vad: VoiceActivity, settings: TurnTaking, rate_hz: int, gain: float, delay_ms: int) -> None:
        self._ear = Ear(AudioInput(), vad.open(), settings, 0, reply_rate_hz=rate_hz)
        self._room = EchoRoom(rate_hz, gain, delay_ms)
        self._settings = settings
        self._rate_hz = rate_hz
        self._now_ms = 0.0

    async def play(self, reply: Samples, sound: Samples, voice_at: int | None = None) -> Overheard:
        """`reply` [n] over `sound` [m] at 16 kHz, in which somebody begins to speak at `voice_at`; ends with it."""
        await self._hear(BETWEEN_MS)
        for frame in self._frames(reply):
            self._tell(frame)
        self._room.speak(sound)
        hushes = await self._hear(len(sound) / _PER_MS)
        self._tell(ReplyEnded(turn=1, reason="interrupted", text="", n_samples=0))
        return Overheard(len(sound) / _PER_MS, None if voice_at is None else voice_at / _PER_MS, tuple(hushes))

    async def _hear(self, duration_ms: float) -> list[Hush]:
        hushes: list[Hush] = []
        began_ms, hushed_ms = self._now_ms, None
        while self._now_ms < began_ms + duration_ms:
            self._now_ms += CHUNK_MS
            async for _ in self._ear.hear(to_pcm(self._room.hear()), self._now_ms):
                is_silent = self._is_silent
                if is_silent and hushed_ms is None:
                    hushed_ms = self._now_ms - began_ms
                    self._tell(ReplyHushed(turn=1, sample=0))
                elif not is_silent and hushed_ms is not None:
                    hushes.append(Hush(hushed_ms, self._now_ms - began_ms))
                    hushed_ms = None
                    self._tell(ReplyResumed(turn=1))
        if hushed_ms is not None:
            hushes.append(Hush(hushed_ms, duration_ms))
        return hushes

    @property
    def _is_silent(self) -> bool:
        detector, onset = self._ear.detector, self._ear.onset
        overlap = Overlap(detector.speech_ms, detector.silence_ms, None, onset.lasted_ms)
        return react(overlap, self._settings) != "go-on"

    def _frames(self, reply: Samples) -> Iterator[AudioFrame]:
        step = REPLY_FRAME_MS * self._rate_hz // 1000
        for at in range(0, len(reply), step):
            yield AudioFrame(REPLY, 1, at, to_pcm(reply[at : at + step]))

    def _tell(self, item: AudioFrame | ReplyHushed | ReplyResumed | ReplyEnded) -> None:
        self._ear.notice(item, self._now_ms)
        self._room.notice(item)


def summary(heard: Sequence[Overheard]) -> dict[str, float]:
    """Of replies that were spoken over: how many players were heard within a second, and how soon."""
    waits = [one.silent_ms for one in heard if one.silent_ms is not None]
    n_late = sum(one.silent_ms is None or one.silent_ms > GOAL_MS for one in heard)
    p50, p95 = np.percentile(waits, [50, 95]) if waits else (np.nan, np.nan)
    return {
        "n": len(heard),
        "heard_percent": round(100 * len(waits) / len(heard), 1),
        "p50_ms": round(float(p50), 1),
        "p95_ms": round(float(p95), 1),
        "late_percent": round(100 * n_late / len(heard), 1),
        "n_silent_before": sum(one.was_silent for one in heard),
    }


def false_hushes(heard: Sequence[Overheard]) -> dict[str, float]:
    """Of replies that nobody spoke over: how many fell silent, how often and for how long."""
    lengths = [hush.end_ms - hush.start_ms for one in heard for hush in one.false_hushes]
    minutes = sum(one.duration_ms for one in heard) / 60_000
    return {
        "n": len(heard),
        "n_hushed": sum(bool(one.false_hushes) for one in heard),
        "a_minute": round(len(lengths) / minutes, 1),
        "p50_ms": round(float(np.median(lengths)), 1) if lengths else 0.0,
        "share_percent": round(sum(lengths) / minutes / 600, 1),
    }
