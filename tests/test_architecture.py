"""The direction of imports, and that the engine opens no socket: the contracts in pyproject.toml, as they are."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_point_one_way_and_the_engine_opens_no_socket(tmp_path: Path) -> None:
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)  # the folders as one package
    linter = Path(sys.executable).parent / "lint-imports"
    checked = subprocess.run(
        [linter, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert checked.returncode == 0, checked.stdout
    assert "3 kept, 0 broken" in checked.stdout


def test_help_and_check_load_no_model_library() -> None:
    code = (
        "import sys; from npc.cli import app; from typer.testing import CliRunner; run = CliRunner().invoke\n"
        "assert run(app, ['--help']).exit_code == 0; assert run(app, ['check']).exit_code == 0\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnxruntime', 'ctranslate2', 'faster_whisper', "
        "'scipy', 'websockets'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert tried.returncode == 0, tried.stderr
