"""A voice agent as pipecat's own scaffold lays one out, in the environment of requirements.txt.

    python bot.py    stdin: one line, the JSON of `Asked`; stdout: one line, "ready"; it ends when stdin does

Microphone → Whisper → context → language model → hibari → loudspeaker, over pipecat's websocket
transport, with silero and Smart Turn v3 as they ship. Settings are pipecat's defaults unless a
comment says why not. Binary messages are 16-bit PCM; text messages are the agent's own events.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hibari import Hibari
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transports.websocket.server import SingleClientWebsocketServerParams, SingleClientWebsocketServerTransport
from pipecat.workers.runner import WorkerRunner

HEARING_RATE_HZ = 16000


@dataclass(frozen=True, slots=True)
class Asked:
    port: int
    whisper: str
    """A folder with the CTranslate2 weights."""
    llm_url: str
    messages: list[dict[str, str]]
    """What every conversation begins with: the system's, and examples."""
    sampling: dict[str, float]
    """temperature, top_p, max_tokens, repeat_penalty."""


class HibariTTSService(TTSService):
    """hibari as pipecat wraps Piper, its own local synthesiser: a sentence at a time, in a thread."""

    def __init__(self, voice: Hibari) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=voice.sample_rate,
            settings=TTSSettings(model=None, voice=None, language=None),
        )
        self._voice = voice

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        async def parts() -> AsyncIterator[bytes]:
            stream = self._voice.stream(text)
            while (part := await asyncio.to_thread(next, stream, None)) is not None:
                yield (part.clip(-1, 1) * 32767).astype(np.int16).tobytes()

        await self.start_tts_usage_metrics(text)
        rate_hz = self._voice.sample_rate
        async for frame in self._stream_audio_frames_from_iterator(
            parts(), in_sample_rate=rate_hz, context_id=context_id
        ):
            await self.stop_ttfb_metrics()
            yield frame


class PlainSerializer(FrameSerializer):
    """PCM and JSON: less work for both ends than protobuf."""

    async def serialize(self, frame: Frame) -> str | bytes | None:
        match frame:
            case OutputAudioRawFrame(audio=pcm):
                return pcm
            case OutputTransportMessageFrame(message=message) | OutputTransportMessageUrgentFrame(message=message):
                return json.dumps(message)
            case InterruptionFrame():
                return json.dumps({"type": "interrupted"})
            case _:
                return None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Any text is a player who asks for silence."""
        if isinstance(data, bytes):
            return InputAudioRawFrame(audio=data, sample_rate=HEARING_RATE_HZ, num_channels=1)
        return InterruptionFrame()


def build(asked: Asked) -> tuple[PipelineWorker, SingleClientWebsocketServerTransport]:
    transport = SingleClientWebsocketServerTransport(
        SingleClientWebsocketServerParams(
            # pipecat's own events tell where the time goes
            serializer=PlainSerializer(FrameSerializer.InputParams(ignore_rtvi_messages=False)),
            audio_in_enabled=True,
            audio_out_enabled=True,
        ),
        host="127.0.0.1",
        port=asked.port,
    )
    stt = WhisperSTTService(device="cpu", compute_type="int8", settings=WhisperSTTService.Settings(model=asked.whisper))
    instruction, *examples = asked.messages
    sampling = dict(asked.sampling)
    extra = {"extra_body": {"repeat_penalty": sampling.pop("repeat_penalty")}}
    llm = OpenAILLMService(
        api_key="none",
        base_url=asked.llm_url,
        settings=OpenAILLMService.Settings(
            model="npc",
            system_instruction=instruction["content"],
            temperature=sampling["temperature"],
            top_p=sampling["top_p"],
            max_tokens=int(sampling["max_tokens"]),
            extra=extra,
        ),
    )
    voice = Hibari()
    voice("Warm up.")
    tts = HibariTTSService(voice)
    context = LLMContext(list(examples))
    user, assistant = LLMContextAggregatorPair(
        context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )

    @transport.event_handler("on_client_connected")
    async def begin(*_: Any) -> None:
        context.set_messages(list(examples))

    @transport.event_handler("on_websocket_ready")
    async def tell(*_: Any) -> None:
        print("ready", flush=True)

    pipeline = Pipeline([transport.input(), stt, user, llm, tts, transport.output(), assistant])
    params = PipelineParams(
        audio_in_sample_rate=HEARING_RATE_HZ,
        audio_out_sample_rate=voice.sample_rate,
        enable_metrics=True,
        enable_usage_metrics=True,
    )
    # it waits while the other side is measured
    return PipelineWorker(pipeline, params=params, cancel_on_idle_timeout=False), transport


async def main() -> None:
    logger.remove()  # it logs every frame's fate by default
    logger.add(sys.stderr, level="WARNING")
    worker, _ = build(Asked(**json.loads(sys.stdin.readline())))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    gone = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
    await worker.cancel()
    await running


if __name__ == "__main__":
    asyncio.run(main())
