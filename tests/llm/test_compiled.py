"""Compiled loops are kept where there is room, and processes may start at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
