"""What quantising loses, measured; and the forms made ahead of need."""

import math
from pathlib import Path

import pytest

from npc.errors import InputError
from npc.llm import weights
from npc.models import ModelStore
from npc.profile.quantisation import measure_loss

TEXT = "The forge keeps its fire from dawn until the evening bell, and the smith sells nails by the hundred. " * 3


def test_the_exact_weights_lose_nothing_and_fewer_bits_lose_more(tiny_folder: Path, tmp_path: Path) -> None:
    exact, eight, four = measure_loss(
        tiny_folder, tmp_path, TEXT, [("bf16", "bf16"), ("int8", "bf16"), ("int4", "bf16")], n_tokens=100
    )
    assert (exact.top1_agreement, exact.divergence, exact.n_tokens) == (1.0, 0.0, 100)
    assert 0 < eight.divergence < four.divergence
    assert four.top1_agreement < 1
    assert all(math.isfinite(loss.perplexity) for loss in (exact, eight, four))


def test_a_text_that_says_nothing_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the text has 5 tokens"):
        measure_loss(tiny_folder, tmp_path, "hello")


def test_weights_are_quantised_once(tiny_folder: Path, tmp_path: Path) -> None:
    made = weights.prepare(tiny_folder, tmp_path, "int4")
    before = made.stat().st_mtime_ns
    assert weights.prepare(tiny_folder, tmp_path, "int4") == made
    assert made.stat().st_mtime_ns == before


@pytest.mark.real
def test_int4_keeps_the_perplexity_of_the_model_that_ships(models: ModelStore) -> None:
    name = "smollm2-135m-instruct"
    exact, four, rounded = measure_loss(
        models.ensure(name),
        models.derived(name, "llm"),
        TEXT,
        [("bf16", "bf16"), ("int4", "bf16"), ("int4", "int8")],
        n_tokens=64,
    )
    assert four.perplexity < 1.03 * exact.perplexity
    assert rounded.perplexity < 1.05 * exact.perplexity
    assert four.top1_agreement > 0.9
