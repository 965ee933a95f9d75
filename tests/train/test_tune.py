"""Smoke steps on a tiny random model: learns, goes on where it was, exports what the engine loads."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_llm import write_model

from npc.errors import ModelError
from npc.llm.architecture import Architecture
from npc.llm.tokenizer import ChatTokenizer
from npc.models import adapter
from npc.train import export
from npc.train.batches import Tokens, batches, collate, tokenise
from npc.train.generate import ChatExample
from npc.train.recipe import RECIPES, Recipe, read_recipe
from npc.train.tune import CURVES, Tuning, compile_layers, load_base, shortened
from npc.turn import ChatMessage

RECIPE = Recipe(base="tiny", rank=4, alpha=8, epochs=8, batch_tokens=2048, learning_rate=2e-2, eval_every=8, examples=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tiny"), "llama", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def tokens(base: Path) -> list[Tokens]:
    said = [("Who are you?", "Pike."), ("Ring it.", "[ring(times=2)]"), ("Bye.", "Go well.")]
    examples = [ChatExample("x", "w", (ChatMessage("user", ask),), reply) for ask, reply in said * 4]
    return list(tokenise(examples, ChatTokenizer(base), 258, 512))


def run(base: Path, tokens: list[Tokens], folder: Path, recipe: Recipe = RECIPE, steps: int | None = None) -> Tuning:
    torch.manual_seed(0)
    tuning = Tuning(load_base(base, "cpu"), recipe, [tokens], tokens, folder, 258, clock=itertools.count().__next__)
    tuning.run(steps)
    return tuning


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / CURVES).read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_only_the_reply_and_its_end_are_learnt(tokens: list[Tokens]) -> None:
    batch = collate(tokens[:3], 0)
    replies = [list(each.ids[each.n_prompt :]) for each in tokens[:3]]
    assert batch.labels.tolist() == [token for reply in replies for token in reply]
    assert all(reply[-1] == 258 for reply in replies)
    # each is learnt where the token before it stands
    assert batch.ids.flatten()[batch.at + 1].tolist() == batch.labels.tolist()
    assert {int(at) // batch.ids.shape[1] for at in batch.at} == {0, 1, 2}


def test_replies_in_the_middle_of_a_talk_are_learnt_where_they_are_marked(base: Path) -> None:
    said = ("Who are you?", "Pike.", "Ring it.", "Aye. [ring(times=2)]", "Thanks.")
    messages = tuple(ChatMessage("assistant" if n % 2 else "user", text) for n, text in enumerate(said))
    tokenizer = ChatTokenizer(base)
    made = next(iter(tokenise([ChatExample("x", "w", messages, "Hm.", (3,))], tokenizer, 258, 512)))
    assert collate([made], 0).labels.tolist() == [
        *tokenizer.encode("Aye. [ring(times=2)]"),
        258,
        *tokenizer.encode("Hm."),
        258,
    ]


def test_prompts_are_the_engines_own(base: Path, tokens: list[Tokens]) -> None:
    prompt = ChatTokenizer(base).prompt([ChatMessage("user", "Who are you?")])
    assert list(tokens[0].ids[: tokens[0].n_prompt]) == prompt


def test_batches_hold_every_example_once_within_their_size(tokens: list[Tokens]) -> None:
    made = batches(tokens, 120, 3)
    assert sorted(n for batch in made for n in batch) == list(range(len(tokens)))
    assert all(max(len(tokens[n].ids) for n in batch) * len(batch) <= 120 or len(batch) == 1 for batch in made)


@pytest.mark.parametrize("weights", ["int4", "bf16"])
@pytest.mark.parametrize("method", ["low-rank", "full"])
def test_a_few_steps_learn(base: Path, tokens: list[Tokens], tmp_path: Path, method: str, weights: str) -> None:
    rate = 2e-2 if method == "low-rank" else 3e-3
    recipe = RECIPE.model_copy(update={"method": method, "weights": weights, "learning_rate": rate, "epochs": 30})
    run(base, tokens, tmp_path, recipe)
    curve = losses(tmp_path)
    assert curve[-1] < 0.6 * curve[0]


def test_a_run_goes_on_where_it_was(base: Path, tokens: list[Tokens], tmp_path: Path) -> None:
    whole = run(base, tokens, tmp_path / "whole")
    run(base, tokens, tmp_path / "parts", steps=3)
    parts = run(base, tokens, tmp_path / "parts")
    assert parts.step == whole.step
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)


def test_a_checkpoint_of_another_recipe_is_refused(base: Path, tokens: list[Tokens], tmp_path: Path) -> None:
    run(base, tokens, tmp_path, steps=1)
    with pytest.raises(ModelError, match="another recipe"):
        run(base, tokens, tmp_path, RECIPE.model_copy(update={"method": "full"}))


def test_the_adapter_merges_into_the_weights_that_were_exported(
    base: Path, tokens: list[Tokens], tmp_path: Path
) -> None:
    tuning = run(base, tokens, tmp_path / "run")
    export.export_adapter(tuning.model, RECIPE, tmp_path / "adapter")
    export.export_merged(tuning.model, base, tmp_path / "merged")
    adapter.merge(base, tmp_path / "adapter", tmp_path / "again")
    assert Architecture.read(tmp_path / "again").n_layers == 3
    merged, again = (load_file(tmp_path / name / "model.safetensors") for name in ("merged", "again"))
    original = load_file(base / "model.safetensors")
    changed = "model.layers.0.mlp.up_proj.weight"
    assert merged.keys() == again.keys()
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor.float(), again[name].float(), rtol=2e-2, atol=2e-2)
    assert not torch.equal(merged[changed].float(), original[changed].bfloat16().float())


def test_tuning_goes_on_from_an_adapter(base: Path, tokens: list[Tokens], tmp_path: Path) -> None:
    first = run(base, tokens, tmp_path / "run")
    export.export_adapter(first.model, RECIPE, tmp_path / "adapter")
    begun = Tuning(load_base(base, "cpu"), RECIPE, [tokens], tokens, tmp_path / "on", 258, adapter=tmp_path / "adapter")
    fresh = Tuning(load_base(base, "cpu"), RECIPE, [tokens], tokens, tmp_path / "fresh", 258)
    before, after, untuned = (each.evaluate()["loss"] for each in (first, begun, fresh))
    assert after == pytest.approx(before, rel=0.05)  # it was packed to int8
    assert after < 0.8 * untuned
    for changed in ({"rank": 8}, {"alpha": 16}):
        recipe = RECIPE.model_copy(update=changed)
        with pytest.raises(ModelError, match="rank"):
            Tuning(load_base(base, "cpu"), recipe, [tokens], [], tmp_path / "no", 258, adapter=tmp_path / "adapter")


def test_a_changed_adapter_is_refused(base: Path, tokens: list[Tokens], tmp_path: Path) -> None:
    tuning = run(base, tokens, tmp_path / "run", steps=1)
    export.export_adapter(tuning.model, RECIPE, tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="SHA-256"):
        adapter.merge(base, tmp_path / "adapter", tmp_path / "merged")


def test_a_drafter_learns_to_say_what_its_teacher_says(base: Path, tokens: list[Tokens], tmp_path: Path) -> None:
    teacher = load_base(base, "cpu").eval()
    recipe = RECIPE.model_copy(
        update={"method": "draft", "layers": 1, "weights": "bf16", "epochs": 30, "learning_rate": 3e-3}
    )
    draft = shortened(teacher, 1)
    tuning = Tuning(draft, recipe, [tokens], tokens, tmp_path, 258, teacher, itertools.count().__next__)
    tuning.run()
    curve = losses(tmp_path)
    assert curve[-1] < 0.7 * curve[0]
    export.export_merged(draft, base, tmp_path / "merged")
    assert Architecture.read(tmp_path / "merged").n_layers == 1
    export.export_layers(tmp_path / "merged", tmp_path / "layers")
    kept = load_file(tmp_path / "layers" / "layers.safetensors")
    assert {name.split(".")[1] for name in kept} == {"layers", "norm"}


def test_training_ends_in_its_time(base: Path, tokens: list[Tokens], tmp_path: Path) -> None:
    tuning = run(base, tokens, tmp_path, RECIPE.model_copy(update={"epochs": 500, "minutes": 0.5}))
    assert tuning.step < 40


def test_the_recipes_that_ship_can_be_read() -> None:
    assert {read_recipe(file).method for file in RECIPES.glob("*.toml")} == {"low-rank", "full", "draft", "phrases"}


def test_what_is_watched_is_told_by_kind(base: Path, tokens: list[Tokens], tmp_path: Path) -> None:
    """Whether the calls would be written, and none where none are due."""
    tuning = run(base, tokens, tmp_path, RECIPE.model_copy(update={"epochs": 60}))
    watched = tuning.evaluate()
    assert set(watched) == {"loss", "right", "calls"}
    assert watched["calls"] == {"x": 100.0}
    call = next(each for each in tokens if each.call and each.call[1] < len(each.ids) - each.n_prompt)
    begin, end = call.call or (0, 0)
    assert ChatTokenizer(base).library.decode(call.ids[call.n_prompt :][begin:end].tolist()) == "[ring(times=2)]"


def test_weights_that_are_rounded_in_some_steps_are_unrounded_in_others(
    base: Path, tokens: list[Tokens], tmp_path: Path
) -> None:
    recipe = RECIPE.model_copy(update={"quantised_from": 0.0, "quantised_share": 0.5, "epochs": 12})
    tuning = Tuning(load_base(base, "cpu"), recipe, [tokens], [], tmp_path, 258, clock=itertools.count().__next__)
    seen: list[bool] = []
    learn = tuning._learn
    tuning._learn = lambda chosen: seen.append(tuning._rounded[0].is_rounded) or learn(chosen)  # type: ignore[func-returns-value,method-assign]
    tuning.run()
    assert {True, False} == set(seen)
    assert tuning._rounded[0].is_rounded


def test_layers_that_are_compiled_learn_the_same_and_share_what_is_compiled(
    base: Path, tokens: list[Tokens], tmp_path: Path
) -> None:
    """As on a GPU, but that nothing is generated from the graphs."""
    from torch._dynamo.utils import counters

    recipe = RECIPE.model_copy(update={"quantised_share": 0.5, "batch_tokens": 256, "epochs": 3})
    run(base, tokens, tmp_path / "plain", recipe)
    torch._dynamo.reset()
    counters.clear()
    torch.manual_seed(0)
    model = load_base(base, "cpu")
    tuning = Tuning(model, recipe, [tokens], [], tmp_path / "compiled", 258, clock=itertools.count().__next__)
    compile_layers(model, "aot_eager")
    tuning.run()
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-3)
    # Rounded or not, and the first layer's inputs need no gradients: four, and not one for each of more layers.
    assert counters["stats"]["unique_graphs"] <= 4
