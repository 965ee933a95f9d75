"""Programs that are started to be measured: each a process of its own, which ends when its stdin does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

GRACE_S = 10


@asynccontextmanager
async def running(*command: str | Path, asked: Any = None) -> AsyncIterator[str]:  # JSON
    """The line with which a program says that it is ready, after it was told what is `asked`, in a line of JSON.

    Raises ConfigError when it ends instead.
    """
    from npc.errors import ConfigError

    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process was started without the pipes that it was asked to have")
    try:
        if asked is not None:
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise ConfigError(f"{' '.join(map(str, command))}: it did not start; what it said is above")
        yield line.decode().strip()
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(GRACE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
