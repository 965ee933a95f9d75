"""Models of the Hugging Face hub, from a hub on loopback that speaks as much of it as is asked for."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from npc.models.hub import is_hub_id

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": os.urandom(200_000),
    "pytorch_model.bin": b"the same weights again",
    "onnx/model.safetensors": b"and again",
}
CHILD = """
import sys
from pathlib import Path
from npc.errors import ModelError
from npc.models import ModelStore

steps = []
store = ModelStore(Path(sys.argv[1]), progress=steps.append)
try:
    print("found", store.path(sys.argv[2]))
    print("ready", store.ensure(sys.argv[2]))
    print("found", store.path(sys.argv[2]))
except ModelError as error:
    print("error", error)
print("most", max((step.n_done for step in steps), default=0))
"""
# the library reads its endpoint and cache when it is imported, so each try is a process
Ensure = Callable[..., dict[str, str]]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path = urlsplit(self.path).path
        for name, content in FILES.items():
            if path == f"/some/model/resolve/{COMMIT}/{name}":
                return self._send(content, with_body, ETag=f'"{sha256(content).hexdigest()}"')
        if path in ("/api/models/some/model", "/api/models/some/model/revision/main"):
            siblings = [{"rfilename": name} for name in FILES]
            return self._send({"id": "some/model", "sha": COMMIT, "siblings": siblings}, with_body)
        if path == f"/api/models/some/model/tree/{COMMIT}":
            oids = {name: sha256(content).hexdigest()[:40] for name, content in FILES.items()}
            tree = [{"type": "file", "path": n, "size": len(c), "oid": oids[n]} for n, c in FILES.items()]
            return self._send(tree, with_body)
        missing = "RevisionNotFound" if "some/model" in path else "RepoNotFound"
        return self._send({"error": missing}, with_body, status=404, **{"X-Error-Code": missing})

    def _send(self, body: Any, with_body: bool, status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def hub_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def unreachable() -> str:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


@pytest.fixture
def ensure(tmp_path: Path) -> Ensure:
    def run(name: str, endpoint: str) -> dict[str, str]:
        hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        command = [sys.executable, "-c", CHILD, str(tmp_path / "home"), name]
        done = subprocess.run(command, env=clean | hub, capture_output=True, text=True, timeout=120, check=True)
        assert done.stderr == ""  # the library's own bars stay silent
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    return run


def test_what_is_a_hub_id() -> None:
    assert all(map(is_hub_id, ["HuggingFaceTB/SmolLM2-360M-Instruct", "a/b@v1.0", "a/b@refs/pr/3"]))
    assert not any(map(is_hub_id, ["whisper-base", "a/b/c", "/a/b", "a/", "a b/c"]))


def test_a_hub_model_is_fetched_without_its_weights_in_other_forms(
    hub_url: str, unreachable: str, ensure: Ensure
) -> None:
    first = ensure("some/model", hub_url)
    folder = Path(first["ready"])
    assert first["found"] == str(folder)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert int(first["most"]) >= len(FILES["model.safetensors"])

    without_network = ensure("some/model", unreachable)
    assert without_network["ready"] == str(folder)
    assert without_network["most"] == "0"


def test_a_hub_that_cannot_be_reached(unreachable: str, ensure: Ensure) -> None:
    said = ensure("some/model", unreachable)
    assert said["found"] == "None"
    assert f"hub at {unreachable} was not reached" in said["error"]
    assert "npc models pull some/model" in said["error"]
    assert "--models DIR" in said["error"]


def test_a_model_or_revision_that_the_hub_does_not_have(hub_url: str, ensure: Ensure) -> None:
    assert "the hub has no such model" in ensure("other/model", hub_url)["error"]
    assert "no revision 'v9' of it" in ensure("some/model@v9", hub_url)["error"]
