"""Whether the speaker sounds finished: Smart Turn v3 (https://huggingface.co/pipecat-ai/smart-turn-v3, BSD-2-Clause).

A Whisper encoder with a head of one number, which listens to the last eight
seconds: the fall of the voice and the drawn-out "and" that no transcript shows.
It takes as long for a word as for eight seconds (50 to 100 ms on one core), so it
is asked once a pause, beside recognition, and the policy does without it until it
answers.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npc.errors import ModelError
from npc.turn import HEARING_RATE_HZ, Samples
from npc.worker import URGENT, Worker

if TYPE_CHECKING:
    from faster_whisper.feature_extractor import FeatureExtractor
    from onnxruntime import InferenceSession

WINDOW_S = 8
_FILE = "smart-turn-v3.2-cpu.onnx"
_MIN_VARIANCE = 1e-7


class SmartTurn:
    """Implements `npc.stages.EndOfTurn`."""

    def __init__(self, session: "InferenceSession", features: "FeatureExtractor", worker: Worker) -> None:
        self._session = session
        self._features = features
        self._worker = worker

    @classmethod
    def load(cls, folder: Path, worker: Worker | None = None, n_threads: int = 1, n_workers: int = 1) -> "SmartTurn":
        """From the folder of the model `smart-turn-v3`; raises ModelError when it holds none."""
        import onnxruntime
        from faster_whisper.feature_extractor import FeatureExtractor

        path = folder / _FILE
        if not path.is_file():
            raise ModelError(f"{folder}: holds no {_FILE}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ModelError(f"{path}: is no end-of-turn model ({error})") from error
        return cls(session, FeatureExtractor(chunk_length=WINDOW_S), worker or Worker("smart-turn", n_workers))

    async def probability(self, audio: Samples) -> float:
        """That the turn is complete, 0 to 1, from all that the player said, [n] at 16 kHz."""
        return await self._worker.run(lambda: self._judge(audio), URGENT)

    def close(self) -> None:
        self._worker.close()

    def _judge(self, audio: Samples) -> float:
        heard = self.features(audio)[None]  # [1, 80, 800]
        (probability,) = self._session.run(None, {"input_features": heard})  # [1, 1], past the sigmoid
        return float(probability[0, 0])

    def features(self, audio: Samples) -> Samples:
        """Whisper's log-mel features [80, 800] of the last eight seconds, silence before a shorter utterance."""
        n = WINDOW_S * HEARING_RATE_HZ
        window = np.pad(audio[-n:], (max(n - len(audio), 0), 0))
        # The model learnt on windows of mean 0 and variance 1, the silence in front of the speech among them.
        level = (window - window.mean()) / np.sqrt(window.var() + _MIN_VARIANCE)
        features: Samples = self._features(level, padding=0).astype(np.float32)
        return features
