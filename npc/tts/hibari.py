"""The built-in synthesiser: hibari's model, several voices made from it, exact times.

text → sayable words → phonemes → spectral frames and durations → sound. The
durations are a tensor inside the model's graph; here it becomes an output.
"""

import json
import threading
import zlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import hibari.dsp  # type: ignore[import-untyped]
import numpy as np
import onnxruntime
from hibari.g2p import G2P  # type: ignore[import-untyped]
from hibari.g2p.normalize import normalize  # type: ignore[import-untyped]

from npc.config import Speaking
from npc.errors import ModelError, StageError
from npc.tts.clauses import wrap
from npc.tts.reading import Reader, Reading
from npc.tts.sayable import sayable_words
from npc.tts.timing import timed_speech
from npc.tts.vocoder import HOP, RATE_HZ, SpectralFrames, render
from npc.tts.voices import VOICES, Timbre, timbre_of
from npc.turn import Speech, Voice
from npc.worker import NORMAL, URGENT, Worker

_DURATIONS = "/Clip_output_0"  # [units] float32: how long each is, in 25 ms
_FRAMES_PER_STEP = 2
_MAX_CHARS = 160
"""Of one run of the model: about ten seconds of speech, 150 ms of work."""


class HibariSynthesiser:
    """One model for all sessions, on threads of its own: clauses of several players are spoken at the same time."""

    rate_hz = RATE_HZ
    voices: Mapping[str, str] = VOICES

    def __init__(self, session: onnxruntime.InferenceSession, reader: Reader, n_workers: int = 1) -> None:
        self._session = session
        self._reader = reader
        self._reading = threading.Lock()
        self._worker = Worker("tts", n_workers)

    @classmethod
    def load(cls, settings: Speaking) -> "HibariSynthesiser":
        """Half a second. Raises ModelError when the package's files are not what they should be."""
        assets = Path(hibari.dsp.__file__).parent / "assets"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = settings.n_threads
        options.log_severity_level = 3
        try:
            graph = (assets / "hibari.onnx").read_bytes()
            session = onnxruntime.InferenceSession(
                with_output(graph, _DURATIONS), options, providers=["CPUExecutionProvider"]
            )
            alphabet = json.loads((assets / "vocab.json").read_text(encoding="utf-8"))
        except Exception as error:  # onnxruntime's own exceptions share no base
            raise ModelError(
                f"{assets}: hibari's model cannot be loaded ({error}); reinstall hibari-tts 0.2.1"
            ) from error
        return cls(session, Reader(G2P(), normalize, alphabet), settings.n_workers)

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[Speech, None]:
        """Speak `text`, in parts where it is long. Raises ConfigError for a voice that does not exist."""
        timbre = timbre_of(voice)
        priority = URGENT
        for part in wrap(text, _MAX_CHARS):
            try:
                speech = await self._worker.run(lambda part=part: self._speak(part, timbre), priority)  # type: ignore[misc]
            except Exception as error:
                raise StageError("speech", f"{len(part)} characters could not be spoken: {error}") from error
            if speech is not None:
                yield speech
                priority = NORMAL

    def close(self) -> None:
        self._worker.close()

    def _speak(self, text: str, timbre: Timbre) -> Speech | None:
        words = sayable_words(text)
        with self._reading:  # the reader is for one at a time; onnxruntime's session for any number
            reading = self._reader.read(words) if words else None
        if reading is None or reading.is_silent:
            return None
        frames, durations = self._run(reading, timbre.speed)
        # Equal text in an equal voice is equal audio.
        audio = render(frames, timbre, np.random.default_rng(zlib.crc32(text.encode())))
        return timed_speech(text, reading, durations * (_FRAMES_PER_STEP * HOP), audio, RATE_HZ)

    def _run(self, reading: Reading, speed: float) -> tuple[SpectralFrames, "np.ndarray[Any, np.dtype[np.int64]]"]:
        inputs = {"ids": np.array([reading.ids], np.int64), "speed": np.array([speed], np.float32)}
        *parts, durations = self._session.run(None, inputs)
        return SpectralFrames(*(part[0] for part in parts)), durations.astype(np.int64)


def with_output(graph: bytes, tensor: str) -> bytes:
    """The ONNX model `graph` with `tensor` as one more output.

    Serialised protobuf messages that stand one after the other are read as one,
    repeated fields appended: so a ModelProto that has nothing but the new
    output is appended. Field numbers are those of onnx.proto.
    """
    value_info = _field(1, tensor.encode())  # ValueInfoProto.name
    return graph + _field(7, _field(12, value_info))  # ModelProto.graph, GraphProto.output


def _field(number: int, payload: bytes) -> bytes:
    length, head = len(payload), bytes([number << 3 | 2])
    while length > 127:
        head += bytes([length & 127 | 128])
        length >>= 7
    return head + bytes([length]) + payload
