"""Text → vectors, through sentence-transformers, on threads of its own: one, or more where there are many cores.

Requests that wait at the same time with the same priority share one call of
the model, and equal texts in it are embedded once.
"""

import asyncio
import copy
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from npc.errors import ModelError, StageError
from npc.worker import URGENT, Worker

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]
Encode = Callable[[list[str]], Vectors]

BATCH = 16
"""Texts that a patient caller should ask for at a time: a running batch delays urgent questions by its 60 ms."""


@dataclass(slots=True, eq=False)
class _Request:
    texts: tuple[str, ...]
    vectors: Future[Vectors] = field(default_factory=Future)


class Embedder:
    """Each of `encoders` maps n texts to float32 [n, n_dimensions], rows of length 1; it runs on one thread at a time,
    and there are as many threads as encoders."""

    def __init__(self, name: str, n_dimensions: int, *encoders: Encode) -> None:
        self.name = name
        self.n_dimensions = n_dimensions
        self._worker = Worker("embedder", len(encoders))
        self._idle: queue.SimpleQueue[Encode] = queue.SimpleQueue()
        for encode in encoders:
            self._idle.put(encode)
        self._lock = threading.Lock()
        self._waiting: defaultdict[int, list[_Request]] = defaultdict(list)  # by priority

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", n_workers: int = 1) -> "Embedder":
        """Load a sentence-transformers folder without looking at the network. Blocks for seconds, nearly all
        of it imports: call it in a thread, beside the other models. The `n_workers` threads share the weights.

        Raises ModelError when the folder does not hold such a model.
        """
        if not (folder / "modules.json").is_file():
            raise ModelError(f"{folder}: no modules.json; a sentence-transformers model has one")
        # Its root module imports trainers and scikit-learn too, and every way into the library leads through it.
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            model = SentenceTransformer(str(folder), device=device, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"{folder}: cannot be loaded as a sentence-transformers model: {error}") from error

        encoders = [_encoder(model if i == 0 else _with_shared_weights(model)) for i in range(n_workers)]
        n_dimensions = encoders[0](["The first call is the slowest."]).shape[1]
        return cls(folder.name, n_dimensions, *encoders)

    async def embed(self, texts: Sequence[str], priority: int = URGENT) -> Vectors:
        """float32 [len(texts), n_dimensions], rows of length 1: their dot product is the cosine similarity.

        Raises StageError (`retrieve`) when the model fails.
        """
        if not texts:
            return np.zeros((0, self.n_dimensions), np.float32)
        request = _Request(tuple(texts))
        waiting = self._waiting[priority]
        with self._lock:
            waiting.append(request)
        try:
            # Whichever job comes first takes every request that waits, so when ours has run, ours is answered or taken.
            await self._worker.run(lambda: self._answer(waiting), priority)
            return await asyncio.wrap_future(request.vectors)
        except Exception as error:
            raise StageError("retrieve", f"{self.name} could not embed: {error}") from error
        finally:
            with self._lock:
                if request in waiting:
                    waiting.remove(request)

    def close(self) -> None:
        self._worker.close()

    def _answer(self, waiting: list[_Request]) -> None:
        with self._lock:
            requests = [request for request in waiting if request.vectors.set_running_or_notify_cancel()]
            waiting.clear()
        if not requests:
            return
        rows = {text: row for row, text in enumerate(dict.fromkeys(text for r in requests for text in r.texts))}
        encode = self._idle.get()
        try:
            vectors = encode(list(rows))
        except Exception as error:  # handed to everyone who asked
            for request in requests:
                request.vectors.set_exception(error)
            return
        finally:
            self._idle.put(encode)
        for request in requests:
            request.vectors.set_result(vectors[[rows[text] for text in request.texts]])


def _encoder(model: "SentenceTransformer") -> Encode:
    import torch

    def encode(texts: list[str]) -> Vectors:
        # A question is too little work to share: one thread took 13 ms, two took 18, and 300 where the cores were busy.
        torch.set_num_threads(1)  # holds for the calling thread
        return model.encode(
            texts, batch_size=BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )

    return encode


def _with_shared_weights(model: "SentenceTransformer") -> "SentenceTransformer":
    """A copy for another thread: a tokenizer serves one at a time, the weights any number."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})
