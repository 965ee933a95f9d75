"""How many cores there are for this process, and what the stages make of it."""

import os
from pathlib import Path

import pytest

from npc import cores
from npc.config import Knowledge, Recognition, Server, Speaking, TurnTaking
from npc.cores import one_in, part, usable_cores


@pytest.fixture
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a machine of which the process may use twelve cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)
    return tmp_path / "cpu.max"


@pytest.mark.parametrize(
    ("text", "n_cores"),
    [("max 100000", 12), ("200000 100000", 2), ("50000 100000", 1), ("9900000 100000", 12), ("", 12), ("?", 12)],
)
def test_a_container_has_what_it_was_given_and_no_more_than_the_process_may_use(
    quota: Path, text: str, n_cores: int
) -> None:
    quota.write_text(text, "ascii")
    assert usable_cores.__wrapped__(quota) == n_cores


def test_where_nothing_tells_of_a_share_all_cores_count(quota: Path) -> None:
    assert usable_cores.__wrapped__(quota) == 12


@pytest.mark.parametrize(
    ("n_cores", "workers", "beside"), [(1, (1, 1, 1, 1), 2), (2, (1, 1, 1, 1), 2), (16, (5, 2, 2, 4), 8)]
)
def test_two_cores_have_one_thread_a_stage_and_sixteen_have_more(
    monkeypatch: pytest.MonkeyPatch, n_cores: int, workers: tuple[int, ...], beside: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: n_cores)
    hearing = Recognition()
    made = (hearing.n_workers, Speaking().n_workers, hearing.voice_activity_workers, Knowledge().n_workers)
    assert made == workers
    assert TurnTaking().speculates_beside == beside
    assert one_in(1) == n_cores


@pytest.mark.parametrize(
    ("n_cores", "n_processes", "parts"),
    [
        (4, 2, [[0, 1], [2, 3]]),
        (5, 3, [[0], [1, 2], [3, 4]]),
        (2, 4, [[0], [0], [1], [1]]),
    ],
)
def test_processes_share_the_cores_out(n_cores: int, n_processes: int, parts: list[list[int]]) -> None:
    assert [part(list(range(n_cores)), index, n_processes) for index in range(n_processes)] == parts


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """What the process is pinned to, of a machine with sixteen cores, of which it may use all."""
    pinned: list[set[int]] = []
    monkeypatch.setattr(cores, "_own", None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, mask: pinned.append(set(mask)), raising=False)
    monkeypatch.setattr(cores, "_place", lambda core: (0, core, core))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return pinned


def test_a_process_that_settles_is_pinned_and_counts_its_own_cores(
    settled: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 16)
    cores.settle(1, 4)
    assert settled == [{4, 5, 6, 7}]
    assert (one_in(1), Recognition().n_workers, Knowledge().n_workers) == (4, 1, 1)


def test_in_a_container_with_a_share_of_the_time_it_is_not_pinned(
    settled: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    cores.settle(1, 4)
    assert settled == []
    assert one_in(1) == 2
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_what_shares_a_core_lies_together(tmp_path: Path) -> None:
    for core, (package, shared) in enumerate([(0, 0), (1, 0), (0, 1), (0, 0)]):
        folder = tmp_path / f"cpu{core}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")
        (folder / "core_id").write_text(f"{shared}\n")
    assert sorted(range(4), key=lambda core: cores._place(core, tmp_path)) == [0, 3, 2, 1]


@pytest.mark.parametrize(("given", "n_workers"), [("auto", 8), (0, 8), (1, 1), ("3", 3)])
def test_as_many_workers_as_asked_for_or_as_the_cores_bear(
    monkeypatch: pytest.MonkeyPatch, given: object, n_workers: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 16)
    assert Server.model_validate({"workers": given}).n_workers == n_workers
