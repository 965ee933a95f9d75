"""One run of a recipe from examples to what ships: a tuned model with its card, or a table of phrases."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from npc.errors import ConfigError
from npc.llm.architecture import Architecture
from npc.llm.tokenizer import ChatTokenizer
from npc.models import ModelStore
from npc.models.adapter import write_sums
from npc.train import export, phrases
from npc.train.corpus import DATA, load_corpus
from npc.train.factory import Factory, Stock
from npc.train.recipe import Recipe
from npc.train.tune import Tuning, load_base, shortened

EXPORT_S = 25
"""Loading the base, the last look at the dev examples, and writing what ships."""


@dataclass(frozen=True, slots=True)
class Job:
    recipe: Recipe
    out: Path
    """Started again with the same, the run goes on."""
    say: Callable[[str], None]
    """Is told how far it has got."""
    device: str = ""
    """As torch names it; empty is a GPU where there is one."""
    steps: int | None = None
    """Stop after so many."""
    tuned: Path | None = None
    """The folder of a drafter's teacher."""
    corpus: Path = DATA
    base: Path | None = None
    """A folder instead of the recipe's name."""
    adapter: Path | None = None
    """To go on from."""
    store: ModelStore = field(default_factory=ModelStore)
    n_processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    """That make examples."""
    within_s: int | None = None
    """Until all of it must be done, examples and export too."""
    began_s: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Raises ConfigError where the recipe and what was given do not go together, ModelError for the base."""
        recipe = self.recipe
        if recipe.method == "draft" and self.tuned is None:
            raise ConfigError("a drafter is taught by a tuned model: --tuned wants its folder")
        if self.adapter is not None and recipe.method != "low-rank":
            raise ConfigError(f"--adapter is for low-rank tuning; the recipe's method is {recipe.method}")
        folder = self.tuned or self.base or _base(recipe, self.store)
        tokenizer, eos_ids = ChatTokenizer(folder), Architecture.read(folder).eos_ids
        end = tokenizer.encode("<|im_end|>")
        eos_id = end[0] if len(end) == 1 and end[0] in eos_ids else eos_ids[0]
        factory = Factory(self.corpus, recipe.seed, recipe.dev_worlds, recipe.n_worlds)
        if recipe.method == "phrases":
            self._learn_phrases(factory, tokenizer, eos_id)
        else:
            self._export(self._tune(factory, folder, eos_id), folder)

    def _tune(self, factory: Factory, folder: Path, eos_id: int) -> nn.Module:
        recipe = self.recipe
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        stock = factory.stock(recipe.examples, folder, eos_id, recipe.max_tokens, self.n_processes)
        try:
            dev = stock.watched[: recipe.dev_examples]
            self._tell_of(stock, len(dev))
            model = load_base(folder, device)
            teacher = None
            if recipe.method == "draft":
                teacher, model = model.eval(), shortened(model, recipe.layers)
            Tuning(model, self._in_time(), stock, dev, self.out, eos_id, teacher, adapter=self.adapter).run(self.steps)
        finally:
            stock.close()
        return model

    def _tell_of(self, stock: Stock, n_dev: int) -> None:
        first = stock[0]
        if not first:
            raise ConfigError("nothing to learn from: every example is longer than max_tokens, or of a dev world")
        self.say(
            f"the first of {len(stock)} rounds made in {time.monotonic() - self.began_s:.0f} s: {len(first)} examples, "
            f"{sum(len(each.ids) for each in first):,} tokens, {sum(len(each.learnt) for each in first):,} replies; "
            f"{n_dev} to watch"
        )

    def _in_time(self) -> Recipe:
        """The recipe, shortened to the time that is left."""
        if self.within_s is None:
            return self.recipe
        left_s = self.within_s - EXPORT_S - (time.monotonic() - self.began_s)
        if left_s <= 0:
            raise ConfigError(f"making ready took so long that of {self.within_s} s nothing is left to train in")
        return self.recipe.model_copy(update={"minutes": min(self.recipe.minutes, left_s / 60)})

    def _export(self, model: nn.Module, folder: Path) -> None:
        is_adapter = self.recipe.method == "low-rank"
        if is_adapter:
            export.export_adapter(model, self.recipe, self.out / "adapter")
        export.export_merged(model, folder, self.out / "merged")
        scores = self.out / "scores.json"
        found = json.loads(scores.read_text(encoding="utf-8")) if scores.exists() else {}
        card = self.out / ("adapter" if is_adapter else "merged")
        export.write_card(card, self.recipe, load_corpus(self.corpus).counts(), next(iter(found.values()), {}))
        write_sums(card)

    def _learn_phrases(self, factory: Factory, tokenizer: ChatTokenizer, eos_id: int) -> None:
        made = factory.examples(self.recipe.examples, self.n_processes)

        def replies(is_dev: bool) -> list[list[int]]:
            chosen = [example.reply for example in made if (example.world in self.recipe.dev_worlds) == is_dev]
            return [[*tokenizer.encode(reply), eos_id] for reply in chosen]

        train, dev = replies(is_dev=False), replies(is_dev=True)
        table = phrases.learn(train)
        on_dev = phrases.share_guessed(table, dev) if dev else None
        phrases.export(table, self.recipe, len(train), on_dev, self.out)
        self.say(f"{len(table):,} phrases of {len(train):,} replies" + (f"; dev {on_dev:.3f}" if on_dev else ""))


def _base(recipe: Recipe, store: ModelStore) -> Path:
    return Path(recipe.base) if Path(recipe.base).is_dir() else store.ensure(recipe.base)
