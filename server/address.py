"""Where a server listens: whether it can, and how clients write it."""

import asyncio
import errno
import socket

from npc.errors import ConfigError


def url_of(host: str, port: int) -> str:
    """What a client on this machine connects to."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, f"[{host}]" if ":" in host else host)
    return f"ws://{shown}:{port}"


def check_address(host: str, port: int) -> None:
    """Raises ConfigError when nothing can listen there, so that it is known before the models are loaded."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise cannot_listen(error, host, port, "port") from error


async def bound(host: str, port: int) -> list[socket.socket]:
    """A socket for every address of `host`, where nobody can connect before `listen` is called. Raises ConfigError."""
    try:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
    except OSError as error:
        raise cannot_listen(error, host, port, "port") from error
    try:
        return [each.dup() for each in server.sockets]
    finally:
        server.close()


def cannot_listen(error: OSError, host: str, port: int, setting: str) -> ConfigError:
    match error.errno:
        case errno.EADDRINUSE:
            why = f"it is taken, perhaps by another `npc serve`; choose another {setting}, or 0 for any free one"
        case errno.EACCES:
            why = f"this user may not; choose a {setting} of 1024 or more"
        case _:
            why = f"{error.strerror or error}; is '{host}' an address of this machine?"
    return ConfigError(f"cannot listen on {host}:{port}: {why}")
