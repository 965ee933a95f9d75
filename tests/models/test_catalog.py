"""The catalog says all that is needed to fetch a model and to know whose it is."""

import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import npc.models
from npc.config import Settings
from npc.errors import ModelError
from npc.models import Model, ModelStore, catalog, read_catalog

ENTRIES = pytest.mark.parametrize("model", catalog().values(), ids=lambda model: model.name)


@ENTRIES
def test_every_entry_is_pinned_sized_and_licensed(model: Model) -> None:
    assert model.licence in {"MIT", "Apache-2.0", "BSD-2-Clause"}
    assert model.author
    assert model.origin.startswith("https://")
    assert len(model.description) > 10
    if model.base:
        assert catalog()[model.base].default
        sums = Path(npc.models.__path__[0]) / model.adapter / "SHA256SUMS"
        assert sha256(sums.read_bytes()).hexdigest() == model.adapter_sha256
        return
    assert model.wheels
    assert model.files
    pinned = [*model.wheels, *model.files]
    assert all(re.fullmatch("[0-9a-f]{64}", one.sha256) for one in pinned)
    assert all(one.n_bytes > 0 for one in pinned)
    assert model.work_bytes > model.n_bytes > 0


@ENTRIES
def test_only_data_is_taken_out_of_a_wheel(model: Model) -> None:
    code = {".py", ".pyc", ".so", ".pyd", ".dll", ".pt", ".jit", ".pkl"}
    for file in model.files:
        path = Path(file.path)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert path.suffix not in code
        assert file.members


def test_the_default_set_is_what_the_default_settings_name() -> None:
    settings = Settings.model_construct()
    named = {settings.recognition.model, settings.llm.model, settings.knowledge.model, "silero-vad"}
    named |= {base for name in named if (base := catalog()[name].base)}
    assert {model.name for model in catalog().values() if model.default} == named


def test_every_model_is_in_the_notices() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text("utf-8")
    for model in catalog().values():
        block = notice[notice.index(model.name) :].split("\n\n")[0]
        assert model.licence in block
        assert model.origin in block


def test_a_catalog_that_is_wrong_says_where() -> None:
    with pytest.raises(ModelError, match=r"cannot be read: .*\n.*kind"):
        read_catalog('[mine]\nkind = "oven"')
    with pytest.raises(ModelError, match="cannot be read"):
        read_catalog("[mine")


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = "torch transformers gguf huggingface_hub pydantic rich filelock numpy"
    code = f"import sys, npc.models; print([m for m in {heavy.split()} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.real
def test_the_default_models_are_fetched_and_whole(models: ModelStore) -> None:
    names = [model.name for model in catalog().values() if model.default]
    ready = {name: models.ensure(name) for name in names}
    assert all(models.verify(name) == folder for name, folder in ready.items())
    assert (ready["whisper-tiny.en"] / "model.bin").exists()
    assert (ready["smollm2-135m-instruct"] / "model.safetensors").exists()
    assert (ready["smollm2-135m-instruct"] / "chat_template.jinja").exists()
    assert (ready["all-minilm-l6-v2"] / "modules.json").exists()
    assert (ready["silero-vad"] / "silero_vad.onnx").exists()


@pytest.mark.real
def test_the_parts_of_whisper_base_are_joined(models: ModelStore) -> None:
    folder = models.ensure("whisper-base")
    assert {"config.json", "model.bin", "tokenizer.json", "vocabulary.txt"} <= {path.name for path in folder.iterdir()}
    assert models.verify("whisper-base") == folder
