"""That the kernels compile for the device they are written for: types, shapes, and room in shared memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_kernels_compile_for_a_hopper_device() -> None:
    pytest.importorskip("triton", reason="Triton comes with torch for CUDA; for a CPU: pip install triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    script = Path(__file__).parent / "compile_kernels.py"
    built = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=280)
    assert built.returncode == 0, built.stderr[-3000:]
    kernels = ("choose", "look", "merge", "normalise", "place", "product", "score", "unpack")
    assert all(f"'{name}'" in built.stdout for name in kernels), built.stdout
