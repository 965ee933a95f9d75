"""Which device is chosen, whether a model fits it, and what is said where it does not."""

from pathlib import Path

import pytest
import torch

from npc.config import LanguageModelSettings
from npc.errors import ConfigError, ModelError
from npc.llm import weights
from npc.llm.architecture import Architecture
from npc.llm.gpu import memory, start
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.step import on_device
from npc.llm.start import Start, choose_device
from npc.profile.random_model import SHAPES, random_tensors

EIGHT_B = Architecture.from_config(SHAPES["8b"])
GB = 10**9


def settings(**options: object) -> LanguageModelSettings:
    return LanguageModelSettings.model_validate({"model": "some-8b", "cache_mb": 1024, **options})


def test_without_a_device_auto_is_the_cpu_and_cuda_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(settings(device="auto")) == "cpu"
    with pytest.raises(ConfigError, match=r"llm\.device is 'cuda', but .*; use 'cpu' or 'auto'"):
        choose_device(settings(device="cuda"))


def test_with_a_device_auto_is_the_device_unless_a_draft_model_needs_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(settings(device="auto")) == "cuda"
    assert choose_device(settings(device="cpu")) == "cpu"
    assert choose_device(settings(device="auto", draft_model="small")) == "cpu"
    with pytest.raises(ConfigError, match=r"llm\.draft_model runs on a CPU alone"):
        choose_device(settings(device="cuda", draft_model="small"))


def test_what_fits_is_loaded() -> None:
    need = memory.check(EIGHT_B, settings(weights="int4"), 24 * GB, 24 * GB)
    assert 7 * GB < need.total < 10 * GB


def test_what_does_not_fit_says_what_is_needed_what_is_free_and_what_would_fit() -> None:
    with pytest.raises(ModelError) as raised:
        memory.check(EIGHT_B, settings(weights="bf16"), 10 * GB, 12 * GB)
    message = str(raised.value)
    assert "some-8b in bf16 needs 17." in message
    assert "10.0 of its 12.0 GB are free" in message
    assert "llm.weights = 'int4' would need" in message
    assert "int8" not in message, "that does not fit either"
    assert "cache_mb" not in message


def test_a_cache_that_is_too_large_says_how_large_it_may_be() -> None:
    with pytest.raises(ModelError, match=r"llm\.cache_mb may be (\d+) instead of 100000") as raised:
        memory.check(EIGHT_B, settings(weights="bf16", cache_mb=100_000), 40 * GB, 80 * GB)
    left_mb = int(str(raised.value).split("may be ")[1].split()[0])
    memory.check(EIGHT_B, settings(weights="bf16", cache_mb=left_mb), 40 * GB, 80 * GB)


def test_where_nothing_fits_it_is_said() -> None:
    with pytest.raises(ModelError, match=r"nothing of this model's size fits.*llm\.device = 'cpu'"):
        memory.check(EIGHT_B, settings(weights="int4"), 2 * GB, 24 * GB)


def test_memory_is_asked_for_before_anything_is_loaded(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2**20, 2**30))
    monkeypatch.setattr(weights, "load", None)
    with pytest.raises(ModelError, match=r"0\.0 of its 1\.1 GB are free"):
        start.start(tiny_folder, tmp_path, settings())


@pytest.mark.parametrize("format_", ["bf16", "int8", "int4"])
def test_the_estimate_of_weights_is_near_what_they_take(format_: str) -> None:
    arch = Architecture.from_config(SHAPES["tiny"] | {"hidden_size": 256, "intermediate_size": 512})
    model = weights.assemble(arch, dict(random_tensors(arch, format_, "cpu")), format_, 64, DeviceLinear)
    taken = model.embedding.nbytes + on_device(model.head).n_bytes
    taken += sum(
        on_device(each).n_bytes for layer in model.layers for each in (layer.qkv, layer.out, layer.gate_up, layer.down)
    )
    assert memory.weight_bytes(arch, format_) == pytest.approx(taken, rel=0.03)


def test_nothing_is_drafted_on_a_device(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    on = {device: Start(tiny_folder, tmp_path, settings(device=device)).speculates for device in ("cpu", "cuda")}
    assert on == {"cpu": True, "cuda": False}
    assert not Start(tiny_folder, tmp_path, settings(device="cpu", speculates=False)).speculates
