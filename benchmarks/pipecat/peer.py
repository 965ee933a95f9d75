"""pipecat beside the engine: its environment, its processes, and a player who speaks to it."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from npc.cli.programs import running
from npc.cli.turn_player import PATIENCE_MS, Microphone, speaking
from npc.clock import Clock
from npc.errors import ConfigError
from npc.frames import from_pcm, to_pcm
from npc.profile.turns import PlayedTurn, audible_ms
from npc.turn import ChatMessage, Samples, Sampling
from npc.turntaking.material import SpokenTurn

HERE = Path(__file__).parent
RATE_HZ = 24_000
"""Of its replies."""
STAGES = {
    "user-stopped-speaking": "turn over",
    "bot-llm-started": "asked to reply",
    "bot-tts-started": "first sentence",
    "bot-started-speaking": "speaks",
}
"""What its events say has just been reached; each turn keeps the last of a kind."""
_LISTEN_S = 3.0
_HUSH_S = 0.5

Message = bytes | dict[str, Any]
"""PCM, or an event as JSON."""
Stages = dict[str, float]
"""By the name of a stage, when it ended, in milliseconds after the player's last sample."""


def environment(folder: Path) -> Path:
    """The interpreter of an environment with requirements.txt in it, made in `folder` where it is not there yet.

    Raises ConfigError where pip does not get it.
    """
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = (HERE / "requirements.txt").read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r")
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([*install, HERE / "requirements.txt"], check=True)
        except subprocess.CalledProcessError as error:
            raise ConfigError(f"{folder}: pipecat's environment was not made ({error}); pip says above why") from error
        stamp.write_text(wanted, "utf-8")
    return python


@asynccontextmanager
async def served(
    python: Path, gguf: Path, n_threads: int, whisper: Path, messages: Sequence[ChatMessage], sampling: Sampling
) -> AsyncIterator[str]:
    """The address of an agent that has loaded its models and read its prompt. Raises ConfigError."""
    async with running(python, HERE / "language_model.py", gguf, str(n_threads)) as address:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        told = [{"role": message.role, "content": message.content} for message in messages]
        await _read_prompt(address, told)
        asked = {
            "port": port,
            "whisper": str(whisper),
            "llm_url": f"{address}/v1",
            "messages": told,
            "sampling": {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "max_tokens": sampling.max_tokens,
                "repeat_penalty": sampling.repetition_penalty,
            },
        }
        async with running(python, HERE / "bot.py", asked=asked):
            yield f"ws://127.0.0.1:{port}"


async def _read_prompt(address: str, messages: Sequence[Mapping[str, str]]) -> None:
    """So that it lies in llama.cpp's cache, as the engine has read it when it is ready."""
    async with httpx.AsyncClient(timeout=120) as client:
        body = {"messages": [*messages, {"role": "user", "content": "Hello."}], "max_tokens": 1}
        (await client.post(f"{address}/v1/chat/completions", json=body)).raise_for_status()


class Conversation:
    """One connection. What arrives is kept with the time at which it did."""

    def __init__(self, socket: ClientConnection, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock
        self._arrived: asyncio.Queue[tuple[float, Message]] = asyncio.Queue()

    async def listen(self) -> None:
        async for message in self._socket:
            told = message if isinstance(message, bytes) else json.loads(message)
            self._arrived.put_nowait((self._clock.now_ms(), told))

    async def next(self) -> tuple[float, Message]:
        return await self._arrived.get()

    async def send_audio(self, audio: Samples) -> None:
        await self._socket.send(to_pcm(audio))

    async def hear_out(self) -> None:
        """Let the reply be spoken, as far as anybody waits for that, so that pipecat remembers what it said."""
        await self._until("bot-stopped-speaking", _LISTEN_S)

    async def hush(self) -> None:
        """Break the reply off, and forget what was said until then."""
        await self._socket.send("hush")
        await self._until("interrupted", _HUSH_S)

    async def _until(self, kind: str, at_most_s: float) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                while True:
                    _, message = await self.next()
                    if isinstance(message, dict) and message["type"] == kind:
                        return
        except TimeoutError:
            pass


@asynccontextmanager
async def conversation(url: str, clock: Clock) -> AsyncIterator[Conversation]:
    async with connect(url, compression=None) as socket:
        opened = Conversation(socket, clock)
        listening = asyncio.create_task(opened.listen())
        try:
            yield opened
        finally:
            listening.cancel()
            await asyncio.wait({listening})


async def play_turn(bot: Conversation, turn: SpokenTurn, noise_db: float, clock: Clock) -> tuple[PlayedTurn, Stages]:
    """Speak, and listen until the reply can be heard, as npc.cli.turn_player does with the engine.

    A reply cuts the player off where it began before the last word, and was heard: what pipecat itself breaks off
    while it is still silent is none.
    """
    await bot.hush()  # what it said unasked since the last turn
    microphone = Microphone(bot, turn.audio, clock)
    end_ms = microphone.heard_at_ms(turn.end_sample)
    reply: list[tuple[float, Samples]] = []
    stages: Stages = {}
    heard: list[str] = []
    is_cut_off = False
    async with speaking(microphone):
        try:
            async with asyncio.timeout((end_ms + PATIENCE_MS - clock.now_ms()) / 1000):
                while clock.now_ms() < end_ms or audible_ms(reply, RATE_HZ) is None:
                    now_ms, message = await bot.next()
                    match message:
                        case bytes():
                            reply.append((now_ms, from_pcm(message)))
                            is_cut_off |= reply[0][0] < end_ms and audible_ms(reply, RATE_HZ) is not None
                        case {"type": "interrupted"}:
                            reply.clear()
                        case {"type": "user-transcription", "data": {"text": text, "final": True}}:
                            heard.append(text.strip())
                            stages["recognised"] = now_ms - end_ms
                        case {"type": name} if name in STAGES:
                            stages[STAGES[name]] = now_ms - end_ms
                        case _:
                            pass
        except TimeoutError:
            pass
        if reply:
            await bot.hear_out()
        await bot.hush()
    played = PlayedTurn(turn.group, noise_db, turn.script.words, len(turn.pauses), is_cut_off, " ".join(heard))
    first_ms = audible_ms(reply, RATE_HZ)
    if is_cut_off or first_ms is None:
        return played, stages
    return replace(played, arrived_ms=reply[0][0] - end_ms, voice_to_voice_ms=first_ms - end_ms), stages
