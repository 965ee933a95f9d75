"""How a model is tuned: a TOML file, so that what shipped can be made again. npc/train/recipes holds ours."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from npc.errors import ConfigError

Positive = Annotated[int, Field(gt=0)]
RECIPES = Path(__file__).parent / "recipes"


class Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field(description="a model's name, or a folder of one")
    method: Literal["low-rank", "full", "draft", "phrases"] = "low-rank"
    rank: Positive = 64
    alpha: Positive = 64
    weights: Literal["int4", "int8", "bf16"] = "int4"
    """What the engine will run: weights are rounded so in every forward pass (straight-through gradients)."""
    quantised_from: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of the steps after which rounding sets in: first learn, then learn to live with it."""
    quantised_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Of the steps after that: with some left out, the weights stay good unrounded as well."""
    layers: Positive = 4
    """Of a drafter: the base's first so many, with its embeddings and head."""
    examples: Positive = 200_000
    seed: int = 0
    epochs: Annotated[float, Field(gt=0)] = 1.0
    max_tokens: Positive = 1024
    """Longer examples are left out."""
    batch_tokens: Positive = 65_536
    """Padded tokens that run at once."""
    accumulate: Positive = 1
    learning_rate: Annotated[float, Field(gt=0)] = 4e-4
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Annotated[float, Field(gt=0)] = 1.0
    eval_every: Positive = 200
    save_every: Positive = 500
    compiles: bool = True
    """On a GPU: half the time a step, for a minute before the first."""
    minutes: Annotated[float, Field(gt=0)] = 600
    """Training ends in time for this, with the schedule run down to its end."""
    dev_examples: Positive = 600
    dev_worlds: tuple[str, ...] = ()
    """Worlds kept out of training, whose loss is watched."""
    n_worlds: Positive | None = None
    """Of the others, so many are learnt from: for a curve over what is authored."""


def read_recipe(file: Path) -> Recipe:
    """Raises ConfigError naming the key that is wrong. A bare name is one of the recipes that ship."""
    path = file if file.exists() else RECIPES / f"{file.name}.toml"
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        have = ", ".join(sorted(each.stem for each in RECIPES.glob("*.toml")))
        raise ConfigError(f"{file}: no such recipe; a TOML file or one of {have} is wanted") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: this is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
