"""A worker's threads: jobs at the same time where that is wanted, one caller's in order, urgent ones first."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from npc.worker import IDLE, URGENT, Worker


@pytest.fixture(params=[1, 3])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    made = Worker("test", request.param)
    yield made
    made.close()


async def test_jobs_of_one_caller_that_awaits_each_stay_in_order(worker: Worker) -> None:
    done: dict[int, list[int]] = {caller: [] for caller in range(8)}

    async def call(caller: int) -> None:
        for i in range(50):
            await worker.run(lambda i=i: done[caller].append(i))  # type: ignore[misc]

    await asyncio.gather(*map(call, done))
    assert all(each == list(range(50)) for each in done.values())


async def test_as_many_jobs_run_at_a_time_as_there_are_threads() -> None:
    worker = Worker("test", 3)
    together = threading.Barrier(3, timeout=10)
    try:
        await asyncio.gather(*(worker.run(together.wait) for _ in range(3)))
    finally:
        worker.close()


async def test_one_thread_runs_one_job_at_a_time() -> None:
    worker = Worker("test")
    names = await asyncio.gather(*(worker.run(threading.get_ident) for _ in range(20)))
    worker.close()
    assert len(set(names)) == 1


async def test_the_urgent_go_first_however_many_threads_there_are(worker: Worker) -> None:
    n_threads = len(worker._threads)
    gate, begun, order = threading.Event(), threading.Semaphore(0), list[str]()

    def hold() -> None:
        begun.release()
        gate.wait(10)

    held = [asyncio.create_task(worker.run(hold)) for _ in range(n_threads)]
    for _ in held:
        await asyncio.to_thread(begun.acquire)
    lock = threading.Lock()

    def note(name: str) -> None:
        with lock:
            order.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run(lambda: note("patient"), IDLE))
        while worker.n_waiting < 1:  # noqa: ASYNC110 - a thread queue has no event to await
            await asyncio.sleep(0)
        urgent = tasks.create_task(worker.run(lambda: note("urgent"), URGENT))
        while worker.n_waiting < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        gate.set()
        await urgent
    await asyncio.gather(*held)
    if n_threads == 1:
        assert order == ["urgent", "patient"]
    assert sorted(order) == ["patient", "urgent"]


async def test_what_is_queued_when_it_closes_is_still_done(worker: Worker) -> None:
    done = []
    jobs = [asyncio.create_task(worker.run(lambda i=i: done.append(i))) for i in range(20)]  # type: ignore[misc]
    await asyncio.sleep(0)
    await asyncio.to_thread(worker.close)
    await asyncio.gather(*jobs)
    assert sorted(done) == list(range(20))
