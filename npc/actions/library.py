"""Every action that can be named in a character's YAML, gathered from Python packages and YAML files."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from npc.actions.declare import Action, read_actions, spec_of
from npc.actions.spec import ActionSpec
from npc.errors import ConfigError, Mistake

SHIPPED = "npc.content.actions"


class ActionLibrary(Mapping[str, ActionSpec]):
    """Actions by name. A name that two sources declare is an error."""

    def __init__(self, actions: Iterable[ActionSpec] = ()) -> None:
        self._actions: dict[str, ActionSpec] = {}
        for action in actions:
            first = self._actions.setdefault(action.name, action)
            if first is not action:
                where = f"in {first.source or '?'} and in {action.source or '?'}"
                raise ConfigError(f"action '{action.name}' is declared {where}; rename one")

    def __getitem__(self, name: str) -> ActionSpec:
        return self._actions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._actions)

    def __len__(self) -> int:
        return len(self._actions)

    def extended(self, actions: Iterable[ActionSpec]) -> "ActionLibrary":
        return ActionLibrary([*self._actions.values(), *actions])


def load_library(*sources: str | Path) -> ActionLibrary:
    """The actions of Python packages (dotted names) and YAML files or folders; without sources, those that ship.

    Raises ConfigError with every mistake found.
    """
    actions: list[ActionSpec] = []
    mistakes: list[Mistake] = []
    for source in sources or (SHIPPED,):
        found, wrong = _from_package(source) if isinstance(source, str) else _from_path(source)
        actions += found
        mistakes += wrong
    if mistakes:
        raise ConfigError(mistakes=mistakes)
    return ActionLibrary(actions)


def action_files(folder: Path) -> list[Path]:
    return sorted(file for pattern in ("*.yaml", "*.yml") for file in folder.rglob(pattern))


def _from_package(name: str) -> tuple[list[ActionSpec], list[Mistake]]:
    """A package's actions, of its modules and of the YAML files beside them."""
    try:
        package = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"there is no Python package '{name}' to take actions from: {error}") from error
    folders = [Path(folder) for folder in getattr(package, "__path__", [])]
    modules = [package, *_modules(package)]
    actions = [spec_of(action) for module in modules for action in _declared_in(module)]
    mistakes: list[Mistake] = []
    for folder in folders:
        found, wrong = _from_path(folder)
        actions += found
        mistakes += wrong
    return actions, mistakes


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in sorted(pkgutil.iter_modules(getattr(package, "__path__", [])), key=lambda info: info.name):
        yield importlib.import_module(f"{package.__name__}.{info.name}")


def _declared_in(module: ModuleType) -> Iterator[type[Action]]:
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, Action) and value.__module__ == module.__name__:
            yield value


def _from_path(path: Path) -> tuple[list[ActionSpec], list[Mistake]]:
    actions: list[ActionSpec] = []
    mistakes: list[Mistake] = []
    for file in action_files(path) if path.is_dir() else [path]:
        found, wrong = read_actions(file)
        actions += found
        mistakes += wrong
    return actions, mistakes
