"""`npc serve` with an engine of scripted stages, so that its workers are real processes and load no model.

    python tests/scripted_workers.py --port 0 --workers 2

What a worker that is spawned runs first is this file, too, by another name.
"""

import os
import sys
import types
from pathlib import Path

from npc.config import Settings
from npc.engine import Engine
from npc.errors import ModelError
from npc.testing import ScriptedSpeech, scripted_engine


class ScriptedEngine(Engine):
    @classmethod
    async def load(cls, settings: Settings, progress: object) -> Engine:  # type: ignore[override]
        if _are_weights_gone():
            raise ModelError("the weights are gone")
        return scripted_engine(ScriptedSpeech())


def _are_weights_gone() -> bool:
    """While there is a file of the name that GONE in the environment gives."""
    return "GONE" in os.environ and Path(os.environ["GONE"]).exists()


if __name__ in ("__main__", "__mp_main__"):
    engine = types.ModuleType("npc.engine")
    vars(engine)["Engine"] = ScriptedEngine
    sys.modules["npc.engine"] = engine

if __name__ == "__main__":
    import typer

    from npc.cli.serve import serve

    app = typer.Typer()
    app.command()(serve)
    app()
