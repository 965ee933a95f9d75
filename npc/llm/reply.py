"""The text of one reply: tokens become pieces, and a stop string never leaves, not even its first half."""

from collections.abc import Sequence

from npc.llm.tokenizer import TokenStream
from npc.turn import TextPiece


class ReplyText:
    def __init__(self, stream: TokenStream, stop: Sequence[str]) -> None:
        self._stream = stream
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self._n_tokens = 0
        self.is_stopped = False

    def push(self, token: int) -> None:
        """Add a token, unless the reply has stopped."""
        if self.is_stopped:
            return
        self._n_tokens += 1
        self._held += self._stream.push(token)
        found = [at for text in self._stop if (at := self._held.find(text)) >= 0]
        if found:
            self._held, self.is_stopped = self._held[: min(found)], True

    def take(self, *, is_last: bool = False) -> TextPiece | None:
        """What can leave now: all but an ending that may yet become a stop string."""
        n_kept = 0 if is_last or self.is_stopped else self._n_suspect()
        text = self._held[: len(self._held) - n_kept]
        if not text:
            return None
        self._held = self._held[len(text) :]
        piece, self._n_tokens = TextPiece(text, self._n_tokens), 0
        return piece

    def _n_suspect(self) -> int:
        """Length of the longest end of the text that is the beginning of a stop string."""
        longest = max((len(text) for text in self._stop), default=0) - 1
        for n in range(min(longest, len(self._held)), 0, -1):
            if any(text.startswith(self._held[-n:]) for text in self._stop):
                return n
        return 0
