"""A player's room: a loudspeaker that plays replies as they arrive, and a microphone that hears it and the player."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
from scipy.signal import fftconvolve

from npc.audio import StreamResampler
from npc.clock import Clock
from npc.events import ReplyEnded, ReplyHushed, ReplyResumed, ServerEvent
from npc.frames import AudioFrame, from_pcm
from npc.turn import HEARING_RATE_HZ, Samples

CHUNK_MS = 20
_CHUNK = CHUNK_MS * HEARING_RATE_HZ // 1000
NOISE = 5e-4


class EchoRoom:
    """`gain` is how loud what is played comes back, after `delay_ms`; half of that is reverberation."""

    def __init__(self, rate_hz: int, gain: float, delay_ms: int = 150, reverberation_s: float = 0.25) -> None:
        self._resampler = StreamResampler(rate_hz, HEARING_RATE_HZ)
        self._queued = np.empty(0, np.float32)  # arrived and not yet played
        self._is_held = False
        n = int(reverberation_s * HEARING_RATE_HZ)
        tail = np.random.default_rng(1).standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
        response = tail / np.linalg.norm(tail)
        response[0] = 1.0
        self._response = np.concatenate((np.zeros(delay_ms * HEARING_RATE_HZ // 1000), response * gain / np.sqrt(2)))
        self._past = np.zeros(len(self._response) - 1, np.float32)
        self._voice = np.empty(0, np.float32)
        self._noise = np.random.default_rng(2)
        self.n_heard = 0
        """Samples that the microphone has taken."""
        self.echo_power: list[float] = []
        self._start_ms = 0.0

    def notice(self, item: ServerEvent | AudioFrame) -> None:
        """What came from the server."""
        match item:
            case AudioFrame(pcm=pcm) if pcm:
                self._queued = np.concatenate((self._queued, self._resampler.push(from_pcm(pcm))))
            case ReplyHushed():
                self._is_held = True
            case ReplyResumed():
                self._is_held = False
            case ReplyEnded(reason=reason) if reason != "done":
                self._queued, self._is_held = self._queued[:0], False
            case _:
                pass

    def speak(self, audio: Samples, after_s: float = 0.0) -> float:
        """The player says [n] at 16 kHz, in `after_s` seconds; when it begins, on the clock of `run`, in ms."""
        quiet = np.zeros(int(after_s * HEARING_RATE_HZ), np.float32)
        first = self.n_heard + len(self._voice) + len(quiet)
        self._voice = np.concatenate((self._voice, quiet, audio))
        return self._start_ms + first * 1000 / HEARING_RATE_HZ

    def hear(self) -> Samples:
        """The microphone's next 20 ms."""
        played = np.zeros(_CHUNK, np.float32)
        if not self._is_held:
            part, self._queued = self._queued[:_CHUNK], self._queued[_CHUNK:]
            played[: len(part)] = part
        past = np.concatenate((self._past, played))
        self._past = past[_CHUNK:]
        heard = fftconvolve(past, self._response, "valid")
        if played.any():
            self.echo_power.append(float(np.mean(np.square(heard))))
        voice, self._voice = self._voice[:_CHUNK], self._voice[_CHUNK:]
        heard[: len(voice)] += voice
        self.n_heard += _CHUNK
        noisy: Samples = (heard + NOISE * self._noise.standard_normal(_CHUNK)).astype(np.float32)
        return noisy

    async def run(self, send: Callable[[Samples], Awaitable[None] | None], clock: Clock) -> None:
        """Send what the microphone hears in real time, until cancelled."""
        self._start_ms = clock.now_ms() - self.n_heard * 1000 / HEARING_RATE_HZ
        while True:
            due_ms = self._start_ms + (self.n_heard + _CHUNK) * 1000 / HEARING_RATE_HZ
            await asyncio.sleep(max(due_ms - clock.now_ms(), 0) / 1000)
            sent = send(self.hear())
            if sent is not None:
                await sent
