"""A process that serves beside others: what `npc serve --workers` and `npc profile turns --workers` start."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npc import cores

if TYPE_CHECKING:
    from npc.engine import Engine
    from npc.server.workers import Post


def serve_as_worker(
    config: Path | None,
    overrides: Mapping[str, Any],  # as load_settings takes them
    level: int,  # of logging
    post: "Post",
) -> None:
    """What the process does, from its beginning to its end. Its settings are those of its part of the cores."""
    cores.settle(post.worker, post.n_workers)
    log_to_stderr(level, f"worker {post.worker + 1} ")
    from npc.server.workers import serve_worker

    asyncio.run(serve_worker(post, lambda: _load(config, overrides, shows=post.worker == 0)))


async def _load(config: Path | None, overrides: Mapping[str, Any], *, shows: bool) -> "Engine":
    """What is fetched is fetched once, while the other processes wait; one shows how far it is."""
    from npc.config import load_settings
    from npc.engine import Engine
    from npc.models import bars, quiet

    with bars() if shows else contextlib.nullcontext(quiet) as progress:
        return await Engine.load(load_settings(config, overrides), progress)


def log_to_stderr(level: int, who: str = "") -> None:
    """Ids and durations at INFO; what people say only at DEBUG."""
    logging.basicConfig(format=f"%(asctime)s %(levelname)s {who}%(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("npc").setLevel(level)
    logging.getLogger("npc.server.websocket").setLevel(logging.WARNING)  # at DEBUG it writes every frame
