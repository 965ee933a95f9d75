"""Speaks questions to a server as a game would, one after the other, and keeps what each turn measured."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

from npc.audio.files import read_audio
from npc.client import NpcConnection, Reply, connect
from npc.clock import MonotonicClock
from npc.events import ReplyEnded, TranscriptEvent
from npc.frames import AudioFrame
from npc.profile.material import SpokenQuestion
from npc.profile.report import MeasuredTurn
from npc.turn import HEARING_RATE_HZ, Samples

LISTEN_MS = 3000
"""The microphone stays open this long after a question."""


async def spoken_turns(
    url: str, questions: Sequence[SpokenQuestion], n_turns: int
) -> AsyncIterator[tuple[SpokenQuestion, Reply, MeasuredTurn | None]]:
    """`n_turns` turns, each question to its character in one long conversation a character. None: no reply came."""
    clock = MonotonicClock()
    async with AsyncExitStack() as stack:
        connections: dict[str, NpcConnection] = {}
        for question in itertools.islice(itertools.cycle(questions), n_turns):
            npc = connections.get(question.character)
            if npc is None:
                npc = await stack.enter_async_context(connect(url, character=question.character, clock=clock))
                connections[question.character] = npc
            audio, _ = read_audio(question.file, HEARING_RATE_HZ)
            reply, client_ms = await _ask(npc, audio, clock)
            measured = None
            if reply.metrics is not None and client_ms is not None:
                measured = MeasuredTurn(reply.metrics, client_ms)
            yield question, reply, measured


async def _ask(npc: NpcConnection, audio: Samples, clock: MonotonicClock) -> tuple[Reply, float | None]:
    """Speak, and listen until all of the reply is here; then break its playback off, to save the time."""
    reply = Reply(npc.ready.rate_hz, after_turn=npc.last_turn)
    first_ms: float | None = None
    speaking = asyncio.create_task(npc.stream_speech(audio, HEARING_RATE_HZ, silence_ms=LISTEN_MS))
    try:
        async for event in npc:
            reply.add(event)
            match event:
                case AudioFrame(pcm=pcm) if pcm and first_ms is None:
                    first_ms = clock.now_ms()
                case TranscriptEvent(is_final=True, text=""):
                    break
                case ReplyEnded():
                    break
                case _ if reply.is_received:
                    await npc.interrupt()
                case _:
                    pass
        left_ms = await speaking
    finally:
        speaking.cancel()
    return reply, None if first_ms is None else first_ms - left_ms
