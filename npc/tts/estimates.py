"""Word times for models that do not tell phonemes: from their tokens' lengths, or by the length of the words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from npc.turn import Word


def word_edges(symbols: Sequence[str], ends: NDArray[np.floating], n_words: int) -> list[tuple[int, int]] | None:
    """Start and end sample of each word, where `symbols` (tokens, each ending at `ends`) are words between spaces.

    None when they are not `n_words` words: the model's text cleaner has changed the text.
    """
    spans: list[tuple[int, int]] = []
    start, is_inside = 0, False
    for symbol, end in zip(symbols, np.round(ends).astype(int).tolist(), strict=True):
        if symbol == " ":
            is_inside = False
        elif len(symbol) == 1 and symbol.isalnum():
            spans.append((spans.pop()[0] if is_inside else start, end))
            is_inside = True
        start = end
    return spans if len(spans) == n_words else None


def spread(words: Sequence[str], start: int, end: int) -> tuple[Word, ...]:
    """`words` one after the other from `start` to `end`, each as long as it has characters."""
    edges = np.cumsum([0] + [len(word) + 1 for word in words])
    samples = [start + round((end - start) * edge / edges[-1]) for edge in edges]
    return tuple(Word(word, samples[i], samples[i + 1]) for i, word in enumerate(words))


class Estimate:
    """Which words are in the next piece of a stream, when a voice speaks about `chars_per_s`."""

    def __init__(self, words: Sequence[str], chars_per_s: float, rate_hz: int) -> None:
        n_chars = sum(len(word) + 1 for word in words)
        self._waiting = list(spread(words, 0, round(n_chars / chars_per_s * rate_hz)))
        self._position = 0

    def next(self, n_samples: int) -> tuple[Word, ...]:
        """The words that begin in the next `n_samples`; none reaches beyond them."""
        end = self._position + n_samples
        begun = [word for word in self._waiting if word.start_sample < end]
        timed = tuple(
            Word(word.text, word.start_sample - self._position, min(word.end_sample, end) - self._position)
            for word in begun
        )
        self._waiting = self._waiting[len(begun) :]
        self._position = end
        return timed

    def rest(self, n_samples: int) -> tuple[Word, ...]:
        """The words that are left when the voice was faster, in the `n_samples` that end the clause."""
        return spread([word.text for word in self._waiting], 0, n_samples) if self._waiting else ()
