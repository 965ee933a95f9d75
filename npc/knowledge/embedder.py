"""Text → vectors, through sentence-transformers, on one thread of its own.

Requests that wait at the same time with the same priority share one call of
the model, and equal texts in it are embedded once.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npc.errors import ModelError, StageError
from npc.worker import URGENT, Worker

Vectors = NDArray[np.float32]

BATCH = 16
"""Texts that a patient caller should ask for at a time: a running batch delays urgent questions by its 60 ms."""


@dataclass(slots=True, eq=False)
class _Request:
    texts: tuple[str, ...]
    vectors: Vectors | None = None
    error: Exception | None = None


class Embedder:
    """`encode` maps n texts to float32 [n, n_dimensions], each row of length 1; it runs on the worker's thread."""

    def __init__(self, name: str, n_dimensions: int, encode: Callable[[list[str]], Vectors]) -> None:
        self.name = name
        self.n_dimensions = n_dimensions
        self._encode = encode
        self._worker = Worker("embedder")
        self._lock = threading.Lock()
        self._waiting: defaultdict[int, list[_Request]] = defaultdict(list)  # by priority

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "Embedder":
        """Load a sentence-transformers folder without looking at the network. Blocks for seconds, nearly all
        of it imports: call it in a thread, beside the other models.

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

        def encode(texts: list[str]) -> Vectors:
            return model.encode(
                texts, batch_size=BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            )

        n_dimensions = encode(["The first call is the slowest."]).shape[1]
        return cls(folder.name, n_dimensions, encode)

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
            # Whichever job comes first takes every request that waits, so after ours has run, ours is answered.
            await self._worker.run(lambda: self._answer(waiting), priority)
        finally:
            with self._lock:
                if request in waiting:
                    waiting.remove(request)
        if request.vectors is None:
            raise StageError("retrieve", f"{self.name} could not embed: {request.error}") from request.error
        return request.vectors

    def close(self) -> None:
        self._worker.close()

    def _answer(self, waiting: list[_Request]) -> None:
        with self._lock:
            requests = waiting.copy()
            waiting.clear()
        if not requests:
            return
        rows = {text: row for row, text in enumerate(dict.fromkeys(text for r in requests for text in r.texts))}
        try:
            vectors = self._encode(list(rows))
        except Exception as error:  # handed to everyone who asked
            for request in requests:
                request.error = error
            return
        for request in requests:
            request.vectors = vectors[[rows[text] for text in request.texts]]
