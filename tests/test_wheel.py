"""The wheel as a user gets it: one top-level package, everything in it that it needs, and a command that runs."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)  # what an earlier build left would be packed as well
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    made = subprocess.run(build, capture_output=True, text=True, timeout=280)
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    [wheel] = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`npc` in an environment that holds the wheel, and sees the libraries of this one but not its `npc`."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    library = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    # A folder named in a .pth file is searched, but .pth files in it (such as an editable npc's) are not read.
    (library / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return home / "bin" / "npc"


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=cwd, timeout=120)


def test_npc_is_the_only_top_level_package(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"npc"}


def test_the_licences_travel_along(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {Path(name).name for name in names if ".dist-info/licenses/" in name} >= {"LICENSE", "NOTICE"}


def test_the_installed_command_shows_its_help(command: Path, tmp_path: Path) -> None:
    shown = run(command, "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for word in ("demo", "serve", "talk", "chat", "check", "models", "profile", "schema"):
        assert word in shown.stdout


def test_characters_and_actions_are_in_the_wheel_and_sound(command: Path, tmp_path: Path) -> None:
    checked = run(command, "check", "--json", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    found = json.loads(checked.stdout)
    assert len(found["characters"]) >= 3
    assert found["mistakes"] == []


def test_the_spoken_questions_and_the_catalog_are_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert sum(name.startswith("npc/profile/speech/") and name.endswith(".flac") for name in names) >= 5
    assert "npc/models/catalog.toml" in names
    assert "npc/py.typed" in names
