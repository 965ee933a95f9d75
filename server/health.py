"""Plain HTTP on the websocket's port, for load balancers and for people who open it in a browser.

`GET /healthz` and `GET /` give a JSON; websockets open at `/`; anything else is not found.
"""

import json
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from npc import __version__
from npc.events import PROTOCOL


def answer(request: Request, n_sessions: int, max_sessions: int, is_ready: bool) -> Response | None:
    """The response to a plain request; None lets the websocket's handshake go on."""
    path = request.path.partition("?")[0]
    wants_websocket = "websocket" in request.headers.get("Upgrade", "").lower()
    if path == "/" and wants_websocket:
        return None
    if path not in ("/", "/healthz"):
        return _json(
            HTTPStatus.NOT_FOUND, {"error": f"nothing is at {path}; websockets open at /, health is at /healthz"}
        )
    status = {
        "ready": is_ready,
        "version": __version__,
        "protocol": PROTOCOL,
        "sessions": n_sessions,
        "max_sessions": max_sessions,
    }
    return _json(HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE, status)


def _json(status: HTTPStatus, value: object) -> Response:
    body = json.dumps(value).encode() + b"\n"
    headers = Headers(
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    )
    return Response(status.value, status.phrase, headers, body)
