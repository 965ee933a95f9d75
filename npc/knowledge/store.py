"""Vectors of passages, kept on disk so that a second start embeds nothing.

One small file a text, named by the hash of the model's name and the text, so a
changed passage embeds only itself and nothing ever has to be invalidated. Files
appear by renaming: processes that share the folder see whole files or none.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npc.knowledge.embedder import BATCH, Embedder, Vectors
from npc.worker import IDLE

log = logging.getLogger(__name__)


class VectorStore:
    """An embedder that remembers, for texts that will be asked for again."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        """`folder` is made when the first vector is kept."""
        self.folder = folder
        self._embedder = embedder

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """float32 [len(texts), n_dimensions], in order; only what is not kept yet goes to the embedder."""
        files = [self._file(text) for text in texts]
        vectors = await asyncio.to_thread(_read_all, files, self._embedder.n_dimensions)
        missing = [i for i, vector in enumerate(vectors) if vector is None]
        for start in range(0, len(missing), BATCH):
            rows = missing[start : start + BATCH]
            # Behind every player's question, and in batches that one can slip between.
            fresh = await self._embedder.embed([texts[i] for i in rows], IDLE)
            for i, vector in zip(rows, fresh, strict=True):
                vectors[i] = vector
            await asyncio.to_thread(self._keep, [files[i] for i in rows], fresh)
        return np.array(vectors, np.float32).reshape(len(texts), self._embedder.n_dimensions)

    def _file(self, text: str) -> Path:
        key = hashlib.sha256(f"{self._embedder.name}\0{text}".encode()).hexdigest()
        return self.folder / f"{key}.f32"

    def _keep(self, files: Sequence[Path], vectors: Vectors) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for file, vector in zip(files, vectors, strict=True):
                _write(file, vector.astype("<f4").tobytes())
        except OSError as error:  # a full or read-only disk costs time at the next start, nothing else
            log.warning("%s: passage vectors cannot be kept: %s", self.folder, error)


def _read_all(files: Sequence[Path], n_dimensions: int) -> list[Vectors | None]:
    return [_read(file, n_dimensions) for file in files]


def _read(file: Path, n_dimensions: int) -> Vectors | None:
    """None for a file that is missing or damaged: rows have length 1, so damage shows."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if len(data) != 4 * n_dimensions:
        return None
    vector = np.frombuffer(data, "<f4")
    return vector if abs(float(vector @ vector) - 1.0) < 1e-3 else None


def _write(file: Path, data: bytes) -> None:
    handle, partial = tempfile.mkstemp(dir=file.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.replace(partial, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
