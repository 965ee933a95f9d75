"""Drafts by prompt look-up, and when drafting pays.

What followed these words the last time probably follows them again: replies
quote knowledge and scene, which stand in the prompt. Drafted tokens are
checked in one pass: at each place the reply's own sampler chooses as it would
have chosen anyway, and the draft is kept while it is what was chosen. A draft
that is a fixed token x is accepted with probability p(x), which is the most
that any scheme can reach, and the reply is the very one that plain decoding
writes, seed for seed.
"""

from collections.abc import Sequence
from typing import Protocol

_N_GRAM = 3
_SHORTEST = 2
_LONGEST_DRAFT = 7
"""With the token before them, eight rows: the most that go through the int4 kernel together."""
_TRIES = 16
"""After a miss, this many steps at most pass before the next try; doubled from one with every miss."""


class Pace(Protocol):
    """Decides how much to draft, by what became of the drafts before."""

    def learn(self, n_drafted: int, n_accepted: int) -> None: ...


class Drafts(Pace, Protocol):
    """Writes ahead of one reply, from what is at hand."""

    def draft(self, tokens: Sequence[int], n_most: int, n_replies: int) -> list[int]:
        """At most `n_most` tokens that may follow `tokens`, in a step in which `n_replies` are written."""
        ...


class PromptLookup:
    """The n-grams of one sequence. Turns itself down where it does not pay: a miss doubles the wait, a hit ends it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, ...], int] = {}
        self._n_indexed = 0
        self._wait = self._backoff = 0
        self._length = 3

    def draft(self, tokens: Sequence[int], n_most: int, n_replies: int = 1) -> list[int]:
        """At most `n_most` tokens that may follow `tokens`."""
        self.index(tokens)
        if self._wait > 0:
            self._wait -= 1
            return []
        after = self.find(tokens)
        return _continue(tokens, after, min(n_most, self._length)) if after >= 0 else []

    def find(self, tokens: Sequence[int]) -> int:
        """Where the text went on when it last ended like `tokens`; -1 where it never did."""
        for n in range(_N_GRAM, _SHORTEST - 1, -1):
            after = self._seen.get(tuple(tokens[-n:]))
            if after is not None:
                return after
        return -1

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

    def index(self, tokens: Sequence[int]) -> None:
        """Take in what was written since."""
        # An n-gram is known once something follows it: the text's own end must not match itself.
        for end in range(max(self._n_indexed, _SHORTEST), len(tokens)):
            for n in range(_SHORTEST, _N_GRAM + 1):
                if end >= n:
                    self._seen[tuple(tokens[end - n : end])] = end
        self._n_indexed = len(tokens)


class Payoff:
    """How many tokens a draft model should write ahead for one reply.

    With acceptance rate a, n drafts and the token after them bring (1 - a^(n+1)) / (1 - a) tokens for a time of
    1 + n·cost passes (arXiv 2211.17192, theorem 3.8). The n that brings most a pass is taken; where that is 0, a
    single draft now and then finds out whether it still is.
    """

    _LONGEST = 7
    _TRY_EVERY = 32
    _MEMORY = 0.9
    """A draft counts this much less with every later one."""

    def __init__(self) -> None:
        self._n_accepted, self._n_tried = 1.6, 2.0  # hopeful, until something is known
        self._n_idle = 0

    @property
    def acceptance(self) -> float:
        return self._n_accepted / self._n_tried

    def length(self, cost: float) -> int:
        """Tokens to draft now; `cost` is the time of one pass of the draft model over the time of a step without."""
        a = min(self.acceptance, 0.99)
        best = max(range(self._LONGEST + 1), key=lambda n: (1 - a ** (n + 1)) / (1 - a) / (1 + n * cost))
        if best == 0:
            self._n_idle += 1
            best = int(self._n_idle % self._TRY_EVERY == 0)
        return best

    def learn(self, n_drafted: int, n_accepted: int) -> None:
        """What became of the last draft; what follows the first mistake was never judged."""
        if n_drafted == 0:
            return
        self._n_accepted = self._MEMORY * self._n_accepted + n_accepted
        self._n_tried = self._MEMORY * self._n_tried + min(n_drafted, n_accepted + 1)


def _continue(tokens: Sequence[int], after: int, n: int) -> list[int]:
    """`n` tokens from `after` on; a text that repeats itself is taken to go on repeating."""
    draft = list(tokens[after : after + n])
    period = len(tokens) - after
    while len(draft) < n:
        draft.append(draft[len(draft) - period])
    return draft
