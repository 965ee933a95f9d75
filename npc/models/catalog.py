"""The catalog of models, read from `catalog.toml`."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from npc.errors import ModelError

Kind = Literal["recognition", "language-model", "embedding", "voice-activity", "end-of-turn"]


@dataclass(frozen=True, slots=True)
class Wheel:
    project: str
    version: str
    n_bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model: the members of its wheels that make it up, joined in their order."""

    path: str
    members: tuple[str, ...]
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    kind: Kind
    description: str
    licence: str
    author: str
    origin: str
    wheels: tuple[Wheel, ...] = ()
    files: tuple[File, ...] = ()
    default: bool = False
    """Needed by the default settings."""
    convert: Literal["gguf"] | None = None
    """The files are one GGUF, and become a Hugging Face folder."""
    base: str = ""
    """Made from this model of the catalog and an adapter that ships, instead of from wheels."""
    adapter: str = ""
    """The adapter's folder, relative to `npc.models`."""
    adapter_sha256: str = ""
    """Of its SHA256SUMS, which holds those of its files."""
    phrases: str = ""
    """What the model likes to say, for drafts: a folder relative to `npc.models`."""
    phrases_sha256: str = ""
    """Of its SHA256SUMS."""
    ready_bytes: int = 0
    """Size after conversion, about."""

    @property
    def fetch_bytes(self) -> int:
        return sum(wheel.n_bytes for wheel in self.wheels)

    @property
    def n_bytes(self) -> int:
        """Size on disk when it is ready."""
        return self.ready_bytes or sum(file.n_bytes for file in self.files)

    @property
    def work_bytes(self) -> int:
        """Free disk that making it takes at most: pip keeps a second copy of a wheel while it saves it."""
        unpacked = sum(file.n_bytes for file in self.files)
        largest = max((wheel.n_bytes for wheel in self.wheels), default=0)
        return self.fetch_bytes + largest + unpacked + self.ready_bytes

    @property
    def recipe(self) -> str:
        """Changes whenever the cached form must be made anew."""
        made_of = repr((self.wheels, self.files, self.convert, _FORMAT))
        made_of += f"{self.base}{self.adapter_sha256}{self.phrases_sha256}"
        return hashlib.sha256(made_of.encode()).hexdigest()[:16]


_FORMAT = 1
"""Raised when npc.models writes cached models differently."""


Catalog = Mapping[str, Model]


@cache
def catalog() -> Catalog:
    """Every model that ships with a pin, by its name, in the order of the file."""
    return read_catalog(resources.files(__package__).joinpath("catalog.toml").read_text("utf-8"))


def read_catalog(text: str) -> Catalog:
    """A catalog in TOML, a table a model. Raises ModelError naming the entry that is wrong."""
    from pydantic import TypeAdapter, ValidationError

    try:
        entries = tomllib.loads(text)
        model = TypeAdapter(Model)
        return {name: model.validate_python({"name": name, **entry}) for name, entry in entries.items()}
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ModelError(f"the catalog of models cannot be read: {error}") from error
