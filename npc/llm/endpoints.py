"""Several endpoints with the same model: which to ask, and which to leave alone for a while.

A conversation goes where its character's prompt went before, since that is
where its prefix is cached (rendezvous hashing: when one endpoint leaves, only
its own characters move). One that fails is set aside, and asked for its
health before it is used again.
"""

import hashlib
from collections.abc import Callable, Sequence

ASIDE_S = 10.0
"""How long an endpoint that failed is left alone before its health is asked for."""


class Endpoints:
    """`clock` gives monotonic seconds."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], float]) -> None:
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._clock = clock
        self._failed_s: dict[str, float] = {}

    def order(self, prefix: str) -> list[str]:
        """All endpoints, best first for a prompt that begins with `prefix`; those set aside come last."""

        def rank(url: str) -> tuple[bool, bytes]:
            return self._is_aside(url), hashlib.sha256(f"{url}\0{prefix}".encode()).digest()

        return sorted(self.urls, key=rank)

    def is_suspect(self, url: str) -> bool:
        """It failed when last used: ask for its health first."""
        return url in self._failed_s

    def failed(self, url: str) -> None:
        self._failed_s[url] = self._clock()

    def works(self, url: str) -> None:
        self._failed_s.pop(url, None)

    def _is_aside(self, url: str) -> bool:
        return url in self._failed_s and self._clock() - self._failed_s[url] < ASIDE_S
