"""Drafts by prompt look-up: what followed these words the last time probably follows them again.

Replies quote knowledge and scene, which stand in the prompt. Drafted tokens
are checked in one pass: at each place the reply's own sampler chooses as it
would have chosen anyway, and the draft is kept while it is what was chosen.
A draft that is a fixed token x is accepted with probability p(x), which is
the most that any scheme can reach, and the reply is the very one that plain
decoding writes, seed for seed.
"""

from collections.abc import Sequence

_N_GRAM = 3
_SHORTEST = 2
_LONGEST_DRAFT = 7
"""With the token before them, eight rows: where the int4 kernel still costs little more than for one."""
_TRIES = 16
"""After a miss, this many steps at most pass before the next try; doubled from one with every miss."""


class PromptLookup:
    """The n-grams of one sequence. Turns itself down where it does not pay: a miss doubles the wait, a hit ends it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, ...], int] = {}
        self._n_indexed = 0
        self._wait = self._backoff = 0
        self._length = 3

    def draft(self, tokens: Sequence[int], n_most: int) -> list[int]:
        """At most `n_most` tokens that may follow `tokens`."""
        self._index(tokens)
        if self._wait > 0:
            self._wait -= 1
            return []
        for n in range(_N_GRAM, _SHORTEST - 1, -1):
            after = self._seen.get(tuple(tokens[-n:]))
            if after is not None:
                return _continue(tokens, after, min(n_most, self._length))
        return []

    def learn(self, n_drafted: int, n_accepted: int) -> None:
        """What became of the last draft."""
        if n_drafted == 0:
            return
        if n_accepted == 0:
            self._backoff = min(_TRIES, max(1, 2 * self._backoff))
            self._wait, self._length = self._backoff, 2
        elif n_accepted == n_drafted:
            self._backoff, self._length = 0, min(_LONGEST_DRAFT, 2 * self._length + 1)
        else:
            self._backoff, self._length = 0, n_accepted + 1

    def _index(self, tokens: Sequence[int]) -> None:
        # An n-gram is known once something follows it: the text's own end must not match itself.
        for end in range(max(self._n_indexed, _SHORTEST), len(tokens)):
            for n in range(_SHORTEST, _N_GRAM + 1):
                if end >= n:
                    self._seen[tuple(tokens[end - n : end])] = end
        self._n_indexed = len(tokens)


def _continue(tokens: Sequence[int], after: int, n: int) -> list[int]:
    """`n` tokens from `after` on; a text that repeats itself is taken to go on repeating."""
    draft = list(tokens[after : after + n])
    period = len(tokens) - after
    while len(draft) < n:
        draft.append(draft[len(draft) - period])
    return draft
