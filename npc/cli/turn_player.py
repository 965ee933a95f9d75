"""A player at a microphone: speaks prepared turns to a server in real time, and times what comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

import numpy as np

from npc.client import NpcConnection
from npc.clock import Clock
from npc.events import ErrorEvent, ReplyEnded, TranscriptEvent, TurnMetrics
from npc.frames import AudioFrame, from_pcm
from npc.profile.turns import PlayedTurn, audible_ms
from npc.turn import HEARING_RATE_HZ, Samples
from npc.turntaking.material import SpokenTurn

FRAME_MS = 20
PATIENCE_MS = 5000
"""What comes later than this behind the player's last word is no answer."""
OVER_S = 0.5
"""How late the end of a reply may be told."""
_PER_MS = HEARING_RATE_HZ // 1000


class Listening(Protocol):
    """Whoever is spoken to."""

    async def send_audio(self, audio: Samples) -> None: ...


class Microphone:
    """Sends `audio` [n] at 16 kHz, and then its last second again and again, each sample as late as it is spoken."""

    def __init__(self, listener: Listening, audio: Samples, clock: Clock) -> None:
        self._listener = listener
        self._audio = audio
        self._clock = clock
        self.start_ms = clock.now_ms()
        """When the first sample is spoken."""

    def heard_at_ms(self, sample: int) -> float:
        return self.start_ms + sample / _PER_MS

    async def run(self) -> None:
        step = FRAME_MS * _PER_MS
        at = 0
        while True:
            await asyncio.sleep(max(self.heard_at_ms(at + step) - self._clock.now_ms(), 0) / 1000)
            await self._listener.send_audio(self._frame(at, step))
            at += step

    def _frame(self, at: int, n: int) -> Samples:
        if at + n <= len(self._audio):
            return self._audio[at : at + n]
        background = self._audio[-HEARING_RATE_HZ:]
        return background[np.arange(at, at + n) % len(background)]


@asynccontextmanager
async def speaking(microphone: Microphone) -> AsyncIterator[None]:
    task = asyncio.create_task(microphone.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def play_turn(
    npc: NpcConnection, turn: SpokenTurn, noise_db: float, clock: Clock, *, hears_out: bool = False
) -> PlayedTurn:
    """Speak, and listen until the reply is here; then hear it out, or break its playback off, to save the time."""
    microphone = Microphone(npc, turn.audio, clock)
    end_ms = microphone.heard_at_ms(turn.end_sample)
    arrivals: dict[int, list[tuple[float, Samples]]] = {}
    metrics: dict[int, TurnMetrics] = {}
    errors: list[str] = []
    is_cut_off = False
    transcript = ""
    answer = -1
    async with speaking(microphone):
        try:
            async with asyncio.timeout((end_ms + PATIENCE_MS - clock.now_ms()) / 1000):
                async for event in npc:
                    now_ms = clock.now_ms()
                    match event:
                        case AudioFrame(turn=answer, pcm=pcm) if pcm:
                            is_cut_off |= now_ms < end_ms
                            arrivals.setdefault(answer, []).append((now_ms, from_pcm(pcm)))
                        case TranscriptEvent(is_final=True, text=transcript):
                            pass
                        case TurnMetrics(turn=number):
                            metrics[number] = event
                            if now_ms > end_ms:
                                break
                        case ErrorEvent(code=code):
                            errors.append(code)
                        case _:
                            pass
        except TimeoutError:
            pass
        if hears_out and answer in arrivals:
            n_samples = sum(len(part) for _, part in arrivals[answer])
            left_ms = arrivals[answer][0][0] + n_samples * 1000 / npc.ready.rate_hz - clock.now_ms()
            await _until_over(npc, max(left_ms, 0) / 1000 + OVER_S)
        else:
            await npc.interrupt()
            await _until_over(npc, OVER_S)
    played = PlayedTurn(
        turn.group,
        noise_db,
        turn.script.words,
        len(turn.pauses),
        is_cut_off,
        transcript,
        metrics=metrics.get(answer),
        errors=tuple(errors),
    )
    heard = arrivals.get(answer, [])
    first_ms = audible_ms(heard, npc.ready.rate_hz)
    if is_cut_off or first_ms is None:
        return played
    return replace(played, arrived_ms=heard[0][0] - end_ms, voice_to_voice_ms=first_ms - end_ms)


async def _until_over(npc: NpcConnection, patience_s: float) -> None:
    try:
        async with asyncio.timeout(patience_s):
            async for event in npc:
                if isinstance(event, ReplyEnded):
                    return
    except TimeoutError:
        pass
