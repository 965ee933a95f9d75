"""The tiny model, loaded once, and engines on it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llm import VOCAB, Bench, write_model

from npc.llm import weights
from npc.llm.grammar import GrammarCompiler
from npc.llm.model import Transformer
from npc.llm.tokenizer import ChatTokenizer


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tiny"), "llama", tie_word_embeddings=True)


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    return weights.load(tiny_folder, tmp_path_factory.mktemp("derived"), "float32", 512)


@pytest.fixture(scope="session")
def near_draft(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    """A draft model that is often right: the tiny model itself, in int8."""
    return weights.load(tiny_folder, tmp_path_factory.mktemp("derived"), "int8", 512)


@pytest.fixture(scope="session")
def far_draft(tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    """A draft model of another shape that knows nothing."""
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    folder = write_model(tmp_path_factory.mktemp("far"), "qwen2", seed=1, **shape)
    return weights.load(folder, folder / "derived", "bf16", 512)


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_folder: Path) -> ChatTokenizer:
    return ChatTokenizer(tiny_folder)


@pytest.fixture(scope="session")
def tiny_grammars(tiny_tokenizer: ChatTokenizer) -> GrammarCompiler:
    return GrammarCompiler(tiny_tokenizer, VOCAB, [258])


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small products are slower when threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bench(tiny: Transformer, tiny_tokenizer: ChatTokenizer, tiny_grammars: GrammarCompiler) -> Callable[..., Bench]:
    def make(**options: Any) -> Bench:  # Bench's own keywords
        return Bench(tiny, tiny_tokenizer, tiny_grammars, **options)

    return make
