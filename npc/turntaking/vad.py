"""Voice activity by silero VAD v6 (https://github.com/snakers4/silero-vad, MIT).

One ONNX session serves every microphone; a stream holds only its LSTM state
and the 64 samples before its frame. A frame takes 0.11 ms, and the variant
for 16 kHz alone gives the same numbers as the large one and loads sooner.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from npc.audio.framer import FRAME_SAMPLES
from npc.errors import InputError, ModelError
from npc.turn import HEARING_RATE_HZ, Samples
from npc.worker import URGENT, Worker

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CONTEXT_SAMPLES = 64
_VARIANTS = ("silero_vad_16k_op15.onnx", "silero_vad.onnx")
_RATE = np.array(HEARING_RATE_HZ, np.int64)


class SileroVoiceActivity:
    """Implements `npc.stages.VoiceActivity`."""

    def __init__(self, session: "InferenceSession", worker: Worker) -> None:
        self._session = session
        self._worker = worker

    @classmethod
    def load(cls, folder: Path, worker: Worker | None = None, n_workers: int = 1) -> "SileroVoiceActivity":
        """From the folder of the model `silero-vad`; raises ModelError when it holds none.

        `n_workers` microphones are listened to at a time, where no `worker` is given.
        """
        import onnxruntime

        path = next((folder / name for name in _VARIANTS if (folder / name).is_file()), None)
        if path is None:
            raise ModelError(f"{folder}: holds neither {' nor '.join(_VARIANTS)}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ModelError(f"{path}: is no voice activity model ({error})") from error
        return cls(session, worker or Worker("vad", n_workers))

    def open(self) -> "SileroStream":
        return SileroStream(self._session, self._worker)

    def close(self) -> None:
        self._worker.close()


class SileroStream:
    """Implements `npc.stages.VoiceActivityStream`."""

    def __init__(self, session: "InferenceSession", worker: Worker) -> None:
        self._session = session
        self._worker = worker
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: the next frame begins a new recording."""
        self._state: NDArray[np.float32] = np.zeros((2, 1, 128), np.float32)
        self._context: Samples = np.zeros(CONTEXT_SAMPLES, np.float32)

    async def push(self, frame: Samples) -> float:
        if frame.shape != (FRAME_SAMPLES,):
            raise InputError(f"a frame of shape {frame.shape}; voice activity takes [{FRAME_SAMPLES}]", "bad-frame")
        return await self._worker.run(lambda: self._step(frame), URGENT)

    def _step(self, frame: Samples) -> float:
        heard = np.concatenate((self._context, frame))  # [576]
        probability, self._state = self._session.run(None, {"input": heard[None], "state": self._state, "sr": _RATE})
        self._context = heard[-CONTEXT_SAMPLES:]
        return float(probability[0, 0])
