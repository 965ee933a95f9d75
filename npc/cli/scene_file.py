"""Reads a scene that somebody wrote as YAML."""

from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from npc.errors import ConfigError
from npc.explain import explain
from npc.world import Scene


def read_scene(file: Path) -> Scene:
    """Raises ConfigError that says what is wrong, and where."""
    try:
        return Scene.model_validate(YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: the scene cannot be read: {error}") from error
    except YAMLError as error:
        raise ConfigError(f"{file}: this is not YAML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{file}: {explain(error, Scene)}") from error
