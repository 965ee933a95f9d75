"""What workers do that do not live long: run in processes of their own by test_supervisor.py."""

import asyncio
import os
import time
from pathlib import Path

from npc.errors import ModelError
from npc.server.workers import Post
from npc.server.workers.channel import Channel, Failed, News, Ready


def crash(post: Post) -> None:
    os._exit(3)


def be_ready_once(mark: Path, post: Post) -> None:
    """The first time it is ready, and ends; after that it cannot start."""
    news = Failed(ModelError("the weights are gone")) if mark.exists() else Ready(())
    mark.touch()
    asyncio.run(_tell(news, post))


async def _tell(news: News, post: Post) -> None:
    channel = await Channel.open(post.channel)
    channel.tell(news)
    channel.close()


def stand_still_once(mark: Path, post: Post) -> None:
    """The first time it is ready, and its event loop stands; after that it cannot start."""
    if mark.exists():
        asyncio.run(_tell(Failed(ModelError("the weights are gone")), post))
    else:
        mark.touch()
        asyncio.run(_stand_still(post))


async def _stand_still(post: Post) -> None:
    channel = await Channel.open(post.channel)
    channel.tell(Ready(()))
    await asyncio.sleep(0)
    time.sleep(3600)  # noqa: ASYNC251  (which is the point)


def load_for_ever(post: Post) -> None:
    time.sleep(3600)
