"""How many cores there are for this process, and what the stages make of it."""

import os
from pathlib import Path

import pytest

from npc import cores
from npc.config import Knowledge, Recognition, Speaking, TurnTaking
from npc.cores import one_in, usable_cores


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
