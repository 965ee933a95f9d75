"""The replies that players wait for just now, in all conversations of one process.

Speculation gives way to them: what is begun before a turn is over must not make
somebody wait whose turn is.
"""


class Demand:
    def __init__(self) -> None:
        self._awaited: set[object] = set()

    def __len__(self) -> int:
        return len(self._awaited)

    def add(self, reply: object) -> None:
        """`reply` is due, and is still being made."""
        self._awaited.add(reply)

    def discard(self, reply: object) -> None:
        """It is made, or nobody wants it any more; one that never was due is no error."""
        self._awaited.discard(reply)
