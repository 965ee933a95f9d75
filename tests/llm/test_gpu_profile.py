"""The profile of a device, on a CPU and a tiny shape: that it measures everything, and where it writes it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from npc.cli import app
from npc.config import LanguageModelSettings
from npc.llm import weights
from npc.llm.architecture import Architecture
from npc.llm.gpu.linear import DeviceLinear
from npc.profile.device import for_shape, run_device_profile
from npc.profile.random_model import write

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = LanguageModelSettings(device="cpu", context_tokens=512)


@pytest.mark.parametrize("format_", ["bf16", "int4"])
def test_every_part_is_measured_and_noted_as_it_is_known(format_: str, tmp_path: Path) -> None:
    noted: list[set[str]] = []
    settings = for_shape(TINY.model_copy(update={"weights": format_}), "tiny")
    report = run_device_profile(settings, "tiny", tmp_path, note=lambda so_far: noted.append(set(so_far)))
    assert json.loads(json.dumps(report)) == report
    assert [len(each) for each in noted] == sorted(len(each) for each in noted)
    assert 0 <= report["decode"]["of_limit"] < 1
    assert report["decode"]["tokens_per_s"] > 0
    assert report["first_token_ms"]["n_cached"] == 40
    assert report["together"]["between_tokens_ms"]["p95"] >= report["together"]["between_tokens_ms"]["p50"] > 0
    assert report["where"]["one"]["kernels"]
    assert max(report["error_beside_torch"].values()) == 0, "on a CPU both are torch's"


def test_the_command_writes_its_file(tmp_path: Path) -> None:
    out = tmp_path / "tiny.json"
    done = CliRunner().invoke(
        app,
        ["profile", "llm", "--device", "cpu", "--shape", "tiny", "--random", "--weights", "int8", "--out", str(out)],
    )
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["together"]["sessions"] == 6


@pytest.mark.parametrize(
    ("options", "message"), [(["--shape", "9b", "--random"], "there is no shape '9b'"), (["--shape", "8b"], "--random")]
)
def test_what_cannot_be_measured_is_said(options: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["profile", "llm", "--device", "cpu", *options])
    assert done.exit_code == 1
    assert message in done.output


def test_a_random_model_lies_in_the_cache_as_a_real_one_does(tmp_path: Path) -> None:
    derived = write(tmp_path, "tiny", "int4", "cpu")
    arch = Architecture.read(tmp_path)
    tensors = weights.tensorfile.read(weights.prepare(tmp_path, derived, "int4"))
    model = weights.assemble(arch, tensors, "int4", 64, DeviceLinear)
    out = model.layers[0].out
    assert isinstance(out, DeviceLinear)
    assert 0.9 < float(out.unpacked().float().std()) * arch.q_size**0.5 < 1.1
