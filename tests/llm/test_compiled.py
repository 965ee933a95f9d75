"""Compiled loops are kept where there is room, and processes may start at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from npc.llm.compiled import STALE_DAYS, forget_stale

MULTIPLY = """
import torch
from npc.llm.linear import Int8Linear
weight = torch.arange(32 * 32).view(32, 32).remainder(7).float()
print(Int8Linear(Int8Linear.pack(weight, None))(torch.ones(1, 32)).sum().item())
"""


def start(home: Path) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA")}
    return subprocess.Popen(
        [sys.executable, "-c", MULTIPLY], env={**environment, "NPC_HOME": str(home)}, stdout=subprocess.PIPE, text=True
    )


def kept(home: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in home.rglob("*.nbc")}


def test_two_that_start_at_once_compile_for_a_third(tmp_path: Path) -> None:
    said = [process.communicate()[0] for process in [start(tmp_path), start(tmp_path)]]
    before = kept(tmp_path)
    assert before, "loops lie under NPC_HOME"
    said.append(start(tmp_path).communicate()[0])
    assert [float(each) for each in said] == [pytest.approx(3067.0, rel=0.01)] * 3
    assert kept(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file where a folder should be")
    assert float(start(home).communicate()[0]) == pytest.approx(3067.0, rel=0.01)


def test_a_new_version_forgets_what_nobody_has_used_for_weeks(tmp_path: Path) -> None:
    derived = tmp_path / "derived"
    folders = [derived / name for name in ("loops-old", "loops-recent", "a-model")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.nbc").write_text("")
    now_s = folders[0].stat().st_mtime
    for folder, days in zip(folders, (STALE_DAYS + 1, STALE_DAYS - 1, 100), strict=True):
        os.utime(folder, (0, now_s - days * 86400))
    forget_stale(derived, now_s)
    assert [folder.exists() for folder in folders] == [False, True, True]
    os.utime(folders[1], (0, 0))
    process = start(tmp_path)
    process.communicate()
    assert not folders[1].exists(), "a start that makes new ones removes it"
    kept_now = kept(tmp_path)
    assert kept_now
    (made,) = {path.parent.parent for path in kept_now if path.parent.parent.name.startswith("loops-")}
    os.utime(made, (0, 0))
    start(tmp_path).communicate()
    assert made.stat().st_mtime > 0, "a start that uses them keeps them young"
