"""Real voices and rooms through a real server: who is heard over whom.

The room returns the reply 20 dB below the player's voice, half of it as reverberation.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from npc.asr.material import is_installed, spoken
from npc.audio.files import read_audio
from npc.client import NpcConnection, connect
from npc.clock import MonotonicClock
from npc.events import ReplyEnded, ServerEvent, TranscriptEvent
from npc.frames import AudioFrame
from npc.profile.material import spoken_questions
from npc.profile.room import EchoRoom
from npc.turn import HEARING_RATE_HZ, Samples

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

QUESTIONS = [question for question in spoken_questions() if question.character == "smith"]
REPLY_POWER = 0.075**2
"""Of the engine's voices while they speak."""


def question(i: int) -> Samples:
    return read_audio(QUESTIONS[i % len(QUESTIONS)].file, HEARING_RATE_HZ)[0]


def power(audio: Samples) -> float:
    return float(np.mean(np.square(audio)))


@asynccontextmanager
async def in_a_room(url: str, echo_db: float) -> AsyncIterator[tuple[NpcConnection, EchoRoom]]:
    async with connect(url, character="smith") as npc:
        room = EchoRoom(npc.ready.rate_hz, np.sqrt(power(question(0)) / REPLY_POWER) * 10 ** (echo_db / 20))
        hearing = asyncio.create_task(room.run(npc.send_audio, MonotonicClock()))
        try:
            yield npc, room
        finally:
            hearing.cancel()
            await asyncio.wait({hearing})


async def come(npc: NpcConnection, room: EchoRoom) -> AsyncIterator[ServerEvent | AudioFrame]:
    async with asyncio.timeout(60):
        async for event in npc:
            room.notice(event)
            yield event


async def test_replies_that_come_back_through_the_microphone_are_not_broken_off(url: str) -> None:
    """One may be hushed for a moment before the room is known; it is taken up again."""
    endings = []
    async with in_a_room(url, -20) as (npc, room):
        for i in range(4):
            room.speak(question(i))
            async for event in come(npc, room):
                if isinstance(event, ReplyEnded):
                    endings.append(event.reason)
                    break
        echo_db = 10 * np.log10(np.mean(room.echo_power) / power(question(0)))
    assert endings == ["done"] * 4
    assert -26 < echo_db < -14, "the room is another one than the test says"


async def test_a_player_who_speaks_over_the_echo_is_heard(url: str) -> None:
    if not is_installed("flite rms"):
        pytest.skip("flite is not installed")
    objection = spoken("flite rms", "Stop, put down your weapon!")
    objection *= np.sqrt(power(question(0)) / power(objection))
    interrupted, understood = 0, []
    async with in_a_room(url, -20) as (npc, room):
        for i in range(3):
            room.speak(question(i))
            has_objected = False
            async for event in come(npc, room):
                match event:
                    case AudioFrame(pcm=pcm) if pcm and not has_objected:
                        has_objected = True
                        room.speak(np.concatenate((np.zeros(HEARING_RATE_HZ // 2, np.float32), objection)))
                    case ReplyEnded(reason="interrupted"):
                        interrupted += 1
                    case TranscriptEvent(is_final=True, text=text) if interrupted > len(understood):
                        understood.append(text.lower())
                        break
                    case ReplyEnded():
                        break
            await npc.interrupt()
    assert interrupted >= 2
    assert any("weapon" in text for text in understood), understood
