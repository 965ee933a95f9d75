"""The table of phrases that ships: learnt by a command, packed beside its model, refused when it was changed."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tiny_llm import write_model
from typer.testing import CliRunner

from npc.cli.train import app
from npc.errors import ModelError
from npc.llm.phrases import FILE, Phrases
from npc.llm.tokenizer import ChatTokenizer
from npc.models import ModelStore, adapter
from npc.models.catalog import catalog
from npc.models.disk import sha256_of


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tiny"), "llama", tie_word_embeddings=True)


def test_the_command_learns_a_table_from_the_authored_data(base: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('base = "mine"\nmethod = "phrases"\nexamples = 120\ndev_worlds = ["lighthouse"]\n')
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["run", str(recipe), "--out", str(out), "--base", str(base)])
    assert done.exit_code == 0, done.output
    phrases = Phrases.read(out, 320)
    assert phrases is not None
    assert len(phrases) > 100
    assert phrases.following(ChatTokenizer(base).encode("I don"))[1] > 0.5, "whatever the words, an apostrophe"
    adapter.check_sums(out)
    assert "Apache-2.0" in (out / "README.md").read_text()


def test_a_table_comes_along_when_its_model_is_merged(base: Path, tmp_path: Path) -> None:
    own, table = tmp_path / "layers", tmp_path / "table"
    _as_layers(base, own)
    table.mkdir()
    (table / FILE).write_bytes(b"a table")
    adapter.write_sums(table)
    adapter.merge(base, own, tmp_path / "merged", table)
    assert (tmp_path / "merged" / FILE).read_bytes() == b"a table"
    (table / FILE).write_bytes(b"another")
    with pytest.raises(ModelError, match="SHA-256"):
        adapter.merge(base, own, tmp_path / "again", table)


def test_the_table_that_ships_is_the_one_that_the_catalog_names() -> None:
    model = catalog()["npc-135m"]
    folder = Path(adapter.__file__).parent / model.phrases
    assert sha256_of(folder / adapter.SUMS) == model.phrases_sha256
    adapter.check_sums(folder)
    phrases = Phrases.read(folder, 49152)
    assert phrases is not None
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15 * 2**20


@pytest.mark.real
def test_the_model_that_ships_brings_its_phrases(models: ModelStore) -> None:
    assert Phrases.read(models.ensure("npc-135m"), 49152) is not None


def _as_layers(base: Path, folder: Path) -> None:
    folder.mkdir()
    tensors = load_file(base / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in tensors.items() if "embed_tokens" not in name}, folder / "layers.safetensors"
    )
    shutil.copyfile(base / "config.json", folder / "config.json")
    adapter.write_sums(folder)
