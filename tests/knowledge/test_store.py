import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npc.knowledge.embedder import BATCH, Embedder
from npc.knowledge.store import VectorStore

TEXTS = ["the well", "the forge", "the inn"]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_a_second_start_embeds_nothing_and_gives_the_same(
    tmp_path: Path, embedder: Embedder, recorder: Any
) -> None:
    first = await VectorStore(tmp_path / "cache", embedder).embed(TEXTS)
    recorder.calls.clear()
    second = await VectorStore(tmp_path / "cache", embedder).embed(TEXTS)
    assert recorder.calls == []
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, await embedder.embed(TEXTS))


async def test_only_a_changed_text_is_embedded_and_rows_keep_their_order(
    tmp_path: Path, embedder: Embedder, recorder: Any
) -> None:
    store = VectorStore(tmp_path, embedder)
    await store.embed(TEXTS)
    recorder.calls.clear()
    changed = ["the inn", "the old forge", "the well"]
    vectors = await store.embed(changed)
    assert recorder.texts == ["the old forge"]
    np.testing.assert_array_equal(vectors, await embedder.embed(changed))


async def test_another_model_does_not_get_these_vectors(tmp_path: Path, embedder: Embedder, recorder: Any) -> None:
    store = VectorStore(tmp_path, embedder)
    await store.embed(TEXTS)
    recorder.calls.clear()
    other = Embedder("another", embedder.n_dimensions, recorder)
    try:
        await VectorStore(tmp_path, other).embed(TEXTS)
    finally:
        other.close()
    assert recorder.texts == TEXTS


@pytest.mark.parametrize(
    "damage",
    [b"", b"short", b"\0" * 128, b"\xff" * 128, np.full(32, np.nan, "<f4").tobytes(), np.ones(64, "<f4").tobytes()],
    ids=["empty", "short", "zeros", "ones", "nan", "another-width"],
)
async def test_a_damaged_file_is_made_again(tmp_path: Path, embedder: Embedder, recorder: Any, damage: bytes) -> None:
    store = VectorStore(tmp_path, embedder)
    whole = await store.embed(TEXTS)
    [victim, *_] = _files(tmp_path)
    kept = victim.read_bytes()
    victim.write_bytes(damage)
    recorder.calls.clear()
    np.testing.assert_array_equal(await store.embed(TEXTS), whole)
    assert len(recorder.texts) == 1
    assert victim.read_bytes() == kept


async def test_a_folder_that_cannot_be_written_costs_only_the_cache(
    tmp_path: Path, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("a file, not a folder", encoding="utf-8")
    vectors = await VectorStore(tmp_path / "taken", embedder).embed(TEXTS)
    np.testing.assert_array_equal(vectors, await embedder.embed(TEXTS))
    assert "cannot be kept" in caplog.text


async def test_many_indexes_may_fill_one_folder_at_once(tmp_path: Path, embedder: Embedder, recorder: Any) -> None:
    texts = [f"passage {n}" for n in range(3 * BATCH)]
    results = await asyncio.gather(*(VectorStore(tmp_path, embedder).embed(texts) for _ in range(6)))
    for result in results:
        np.testing.assert_array_equal(result, results[0])
    assert len(_files(tmp_path)) == len(texts)  # nothing half-written is left beside them
    recorder.calls.clear()
    await VectorStore(tmp_path, embedder).embed(texts)
    assert recorder.calls == []


async def test_a_large_file_is_embedded_in_batches_that_questions_slip_between(
    tmp_path: Path, embedder: Embedder, recorder: Any
) -> None:
    await VectorStore(tmp_path, embedder).embed([f"passage {n}" for n in range(2 * BATCH + 1)])
    assert [len(call) for call in recorder.calls] == [BATCH, BATCH, 1]


async def test_no_texts_give_an_empty_array(tmp_path: Path, embedder: Embedder) -> None:
    assert (await VectorStore(tmp_path, embedder).embed([])).shape == (0, embedder.n_dimensions)
