"""A stand-in for the embedding model that counts what it is asked."""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from npc.knowledge.embedder import Embedder, Vectors

N_DIMENSIONS = 32


def direction(text: str) -> Vectors:
    """float32 [32] of length 1: the same for the same text, else nearly at right angles."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    vector = np.random.default_rng(seed).standard_normal(N_DIMENSIONS).astype(np.float32)
    unit: Vectors = vector / np.linalg.norm(vector)
    return unit


class Recorder:
    """Encodes and remembers every call; `before` runs on the worker's thread ahead of each."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.before: Callable[[], None] = lambda: None

    def __call__(self, texts: list[str]) -> Vectors:
        self.before()
        self.calls.append(list(texts))
        return np.stack([direction(text) for text in texts])

    @property
    def texts(self) -> list[str]:
        return [text for call in self.calls for text in call]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def embedder(recorder: Recorder) -> Iterator[Embedder]:
    embedder = Embedder("stand-in", N_DIMENSIONS, recorder)
    yield embedder
    embedder.close()
