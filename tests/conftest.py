"""What every room's tests may ask for."""

import pytest

from npc.models import ModelStore


@pytest.fixture(scope="session")
def models() -> ModelStore:
    """The real models, fetched on first use into the cache that the user's own runs share."""
    return ModelStore()
