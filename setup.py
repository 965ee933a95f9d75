"""Maps the top-level folders below the one import name `npc`. Everything else is in pyproject.toml."""

from setuptools import find_packages, setup

MAPPED = {
    "npc.server": "server",
    "npc.client": "clients/python",
    "npc.content.actions": "actions",
    "npc.content.characters": "characters",
}

setup(
    package_dir={"npc": "npc", **MAPPED},
    packages=[
        *(f"npc.{name}" for name in find_packages("npc")),
        "npc",
        *MAPPED,
        *(f"{name}.{sub}" for name, folder in MAPPED.items() for sub in find_packages(folder)),
    ],
)
