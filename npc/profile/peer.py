"""A language model engine in a process of its own: a request a line in, an answer a line out, as JSON.

Two engines in one process share an OpenMP, which slows both. What a peer answers is timed by its own clock.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from npc.errors import ConfigError

Answer = dict[str, Any]  # JSON, of the peer's making


class Peer:
    """`python -m module arguments…`, which calls `serve`. `name` and `remedy` are for the message when it fails."""

    def __init__(self, name: str, remedy: str, module: str, *arguments: str) -> None:
        self._name, self._remedy = name, remedy
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, **request: Any) -> Answer:  # JSON, as this peer takes it
        """Raises ConfigError when the peer is gone or has no answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ConfigError(f"{self._name} has no pipes to talk through")
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # the missing answer is reported
        for line in stdout:
            if line.startswith("{"):  # others log to the same pipe
                answer: Answer = json.loads(line)
                if "error" in answer:
                    raise ConfigError(f"{self._name} gave no reply to measure: {answer['error']}")
                return answer
        raise ConfigError(f"{self._name} did not start; {self._remedy}")


def serve(reply: Callable[[Answer], Answer], lines: Iterable[str] = sys.stdin) -> None:
    """Answer until the other end is gone."""
    for line in lines:
        print("\n" + json.dumps(reply(json.loads(line))), flush=True)
