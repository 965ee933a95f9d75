import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npc.errors import ModelError, StageError
from npc.knowledge.embedder import Embedder
from npc.models import ModelStore
from npc.worker import IDLE, URGENT


def _held(recorder: Any) -> tuple[threading.Event, threading.Event]:
    """The first event is set when the model has begun; it goes on when the second is."""
    running, gate = threading.Event(), threading.Event()

    def wait() -> None:
        running.set()
        gate.wait()

    recorder.before = wait
    return running, gate


async def _until_waiting(embedder: Embedder, n_jobs: int) -> None:
    while embedder._worker.n_waiting < n_jobs:  # noqa: ASYNC110 - a thread queue has no event to await
        await asyncio.sleep(0)


async def test_requests_that_wait_together_share_one_call_and_equal_texts_one_row(
    embedder: Embedder, recorder: Any
) -> None:
    running, gate = _held(recorder)
    first = asyncio.create_task(embedder.embed(["first"]))
    await asyncio.to_thread(running.wait)
    rest = [asyncio.create_task(embedder.embed(texts)) for texts in (["a", "b"], ["b"], ["c", "a"])]
    await _until_waiting(embedder, 3)
    gate.set()
    await first
    ab, b, ca = await asyncio.gather(*rest)
    assert recorder.calls == [["first"], ["a", "b", "c"]]
    assert np.array_equal(ab[1], b[0])
    assert np.array_equal(ca[1], ab[0])
    assert not np.array_equal(ca[0], ab[0])


async def test_urgent_questions_go_before_patient_batches(embedder: Embedder, recorder: Any) -> None:
    running, gate = _held(recorder)
    first = asyncio.create_task(embedder.embed(["first"]))
    await asyncio.to_thread(running.wait)
    patient = asyncio.create_task(embedder.embed(["passage"], IDLE))
    await _until_waiting(embedder, 1)
    urgent = asyncio.create_task(embedder.embed(["question"], URGENT))
    await _until_waiting(embedder, 2)
    gate.set()
    await asyncio.gather(first, patient, urgent)
    assert recorder.calls == [["first"], ["question"], ["passage"]]


async def test_a_request_that_was_cancelled_is_not_embedded(embedder: Embedder, recorder: Any) -> None:
    running, gate = _held(recorder)
    first = asyncio.create_task(embedder.embed(["first"]))
    await asyncio.to_thread(running.wait)
    given_up = asyncio.create_task(embedder.embed(["given up"]))
    await _until_waiting(embedder, 1)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    gate.set()
    await first
    assert (await embedder.embed(["next"])).shape == (1, embedder.n_dimensions)
    assert recorder.texts == ["first", "next"]


async def test_a_failure_reaches_everyone_who_asked_and_the_next_request_works(
    embedder: Embedder, recorder: Any
) -> None:
    def fail() -> None:
        raise RuntimeError("out of memory")

    recorder.before = fail
    for asked in await asyncio.gather(embedder.embed(["a"]), embedder.embed(["b"]), return_exceptions=True):
        assert isinstance(asked, StageError)
        assert "out of memory" in str(asked)
    recorder.before = lambda: None
    assert (await embedder.embed(["a"])).shape == (1, embedder.n_dimensions)


async def test_no_texts_give_no_rows_and_no_call(embedder: Embedder, recorder: Any) -> None:
    assert (await embedder.embed([])).shape == (0, embedder.n_dimensions)
    assert recorder.calls == []


def test_a_folder_without_a_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"modules\.json"):
        Embedder.load(tmp_path)


@pytest.mark.real
def test_a_damaged_model_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]', encoding="utf-8"
    )
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Embedder.load(tmp_path)


@pytest.mark.real
async def test_minilm_puts_a_paraphrase_nearer_than_another_matter(models: ModelStore) -> None:
    embedder = await asyncio.to_thread(Embedder.load, models.ensure("all-minilm-l6-v2"))
    try:
        question, same, other = await embedder.embed(
            ["How deep is the well?", "The shaft goes down forty feet to the water.", "Knives cost nine coppers."]
        )
        assert embedder.name == "all-minilm-l6-v2"
        assert question.shape == (384,)
        assert question.dtype == np.float32
        assert question @ question == pytest.approx(1.0, abs=1e-5)
        assert question @ same > question @ other + 0.1
    finally:
        embedder.close()


@pytest.mark.real
async def test_a_text_gets_the_same_vector_alone_and_in_a_batch(models: ModelStore) -> None:
    embedder = await asyncio.to_thread(Embedder.load, models.ensure("all-minilm-l6-v2"))
    try:
        texts = ["a", "The iron door in the mill cellar opens only from outside. " * 4, "Who is Nell?"]
        together = await embedder.embed(texts)
        alone = np.concatenate([await embedder.embed([text]) for text in texts])
        np.testing.assert_allclose(together, alone, atol=1e-5)
    finally:
        embedder.close()


async def test_who_waits_while_another_worker_has_taken_the_question_gets_its_answer() -> None:
    gate, n_running = threading.Event(), threading.Semaphore(0)

    def encode(texts: list[str]) -> Any:
        n_running.release()
        gate.wait(10)
        return np.array([[len(text), 1] for text in texts], np.float32)

    embedder = Embedder("counting", 2, encode, encode)
    try:
        held = []
        for text in ("a", "bb"):
            held.append(asyncio.create_task(embedder.embed([text])))
            await asyncio.to_thread(n_running.acquire, timeout=10)
        waiting = [asyncio.create_task(embedder.embed(["c" * n])) for n in range(3, 9)]
        await _until_waiting(embedder, len(waiting))
        gate.set()
        vectors = await asyncio.gather(*held, *waiting)
    finally:
        embedder.close()
    assert [vector[0, 0] for vector in vectors] == list(range(1, 9))


@pytest.mark.real
async def test_several_workers_share_the_weights_and_find_the_same(models: ModelStore) -> None:
    folder = models.ensure("all-minilm-l6-v2")
    one, several = Embedder.load(folder), Embedder.load(folder, n_workers=3)
    texts = [f"Where do I find the {thing}?" for thing in ("well", "old mill", "king's sword", "road", "inn", "forge")]
    try:
        alone = [await one.embed([text]) for text in texts]
        together = await asyncio.gather(*(several.embed([text]) for text in texts * 4))
    finally:
        one.close()
        several.close()
    for vectors, expected in zip(together, alone * 4, strict=True):
        assert np.abs(vectors - expected).max() < 1e-5
