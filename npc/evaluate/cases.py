"""What is asked of a character and what is expected: one JSON object a line.

{"id": "ferry-12", "character": "ferrywoman", "kind": "direct",
 "history": [{"role": "player", "text": "Good morning."}, {"role": "npc", "text": "Is it?"}],
 "utterance": "Cast off, please.", "expect": {"actions": [{"name": "cast_off", "args": {}}]}}
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from npc.errors import ConfigError
from npc.state import Exchange
from npc.world import Scene

REQUEST_KINDS = ("direct", "indirect", "reference", "two")
"""Clean requests."""
ACTION_KINDS = (*REQUEST_KINDS, "none", "impossible", "heard", "noise")
TALK_KINDS = ("knowledge", "unknown", "injection", "outside", "persona")
KINDS = (*ACTION_KINDS, *TALK_KINDS)
Kind = Literal[
    "direct",
    "indirect",
    "reference",
    "two",
    "none",
    "impossible",
    "heard",
    "noise",
    "knowledge",
    "unknown",
    "injection",
    "outside",
    "persona",
]
"""Requests: said plainly; hinted at; by a word for what was spoken of; two at once; talk that only sounds like one;
for what is not there; the clean ones as a recogniser heard them, with mistakes or without; only what it misheard.
Talk: what the knowledge answers; what it is silent on; attempts to take the character over; what its world has no word
for; who it is."""


Item = TypeVar("Item", bound=BaseModel)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Line(_Form):
    role: Literal["player", "npc"]
    text: str


class Call(_Form):
    name: str
    args: dict[str, Any] = {}  # JSON scalars, by parameter

    def matches(self, other: "Call") -> bool:
        """Equal in name and arguments; numbers by value, text without case."""
        return self.name == other.name and _plain(self.args) == _plain(other.args)


class Expect(_Form):
    """What a reply must be. What is left out is not judged."""

    actions: tuple[Call, ...] | None = Field(default=None, description="just these, in this order")
    says: tuple[str | tuple[str, ...], ...] = Field(
        default=(), description="what the reply must contain, each a word or phrase or a choice of such"
    )
    never_says: tuple[str, ...] = Field(default=(), description="what the reply must not contain")
    abstains: bool | None = Field(default=None, description="whether it owns not to know")


class Case(_Form):
    id: str
    character: str
    utterance: Annotated[str, Field(min_length=1)]
    kind: Kind = "direct"
    history: tuple[Line, ...] = ()
    scene: Scene | None = None
    expect: Expect | None = None

    @property
    def exchanges(self) -> list[Exchange]:
        """The history as a session keeps it: a greeting has no player's words before it."""
        exchanges: list[Exchange] = []
        player = ""
        for line in self.history:
            if line.role == "player":
                player = f"{player} {line.text}".strip()
            else:
                exchanges.append(Exchange(player, line.text))
                player = ""
        return exchanges


class Prediction(_Form):
    """What a model made of a case. `reply` is what is spoken, calls left out."""

    id: str
    reply: str
    actions: tuple[Call, ...] = ()
    written: str = Field(default="", description="as the model wrote it, calls where they stood")
    passages: tuple[str, ...] = Field(default=(), description="what was looked up for it")
    n_first_clause_tokens: int = 0
    n_tokens: int = 0


def read_cases(file: Path) -> list[Case]:
    """Raises ConfigError with the file and line of what is wrong."""
    cases = _read(file, Case)
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise ConfigError(f"{file}: id '{case.id}' stands twice; predictions are told apart by it")
        seen.add(case.id)
    return cases


def read_predictions(file: Path) -> list[Prediction]:
    return _read(file, Prediction)


def write_lines(file: Path, items: Iterable[BaseModel]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(item.model_dump_json(exclude_defaults=True) + "\n" for item in items), encoding="utf-8")


def case_files(path: Path) -> Sequence[Path]:
    """`path` itself, or every *.jsonl in it. Raises ConfigError when there is none."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ConfigError(f"{path}: no cases here; a file of JSON lines, or a folder with *.jsonl, is wanted")
    return files


def _read(file: Path, model: type[Item]) -> list[Item]:
    items: list[Item] = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            items.append(model.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise ConfigError(f"{file}:{number}: {where}: {first['msg']}") from error
    return items


def _plain(args: dict[str, Any]) -> dict[str, object]:
    def plain(value: object) -> object:
        if isinstance(value, bool):
            return value
        return float(value) if isinstance(value, int | float) else str(value).strip().lower()

    return {key: plain(value) for key, value in args.items()}
