"""What a model likes to say: a table of phrases, learnt from replies, that writes ahead of it for nothing.

After these last few tokens of the reply, that token came, with this chance.
A character's replies are made of turns of phrase far more than prose is, so
that a table of them guesses as well as a small network and takes microseconds.
`Recall` weighs it against what stands in the prompt, token by token, and drafts
while one more row of the network's step costs less than it can be hoped to bring.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npc.errors import ModelError
from npc.llm.speculate import PromptLookup

FILE = "phrases.safetensors"
"""In a model's folder."""
LONGEST = 5
"""Tokens that a phrase looks back at most; the beginning of the reply counts as one."""
_LONGEST_DRAFT = 4
"""Five rows: three heads to a key fill one vector of attention with them, and a sixth row wants a second."""
_COPY, _COPY_ON = 0.45, 0.75
"""Chance that the prompt's own continuation is the reply's, for the first token of a copy and for the next ones."""
_MEMORY, _WEIGHT = 0.98, 8.0
_TRY_EVERY = 32
_MASK, _FACTOR = (1 << 64) - 1, 0x9E3779B97F4A7C15


class Phrases:
    """Contexts as sorted hashes [n] uint64, the token that follows each [n] int32, and its chance [n] uint8 of 255."""

    def __init__(self, keys: "np.ndarray", tokens: "np.ndarray", chances: "np.ndarray") -> None:
        self._keys, self._tokens, self._chances = keys, tokens, chances

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def read(cls, folder: Path, vocab_size: int) -> "Phrases | None":
        """Those of a model's folder, None where it has none. Raises ModelError when they cannot be read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = folder / FILE
        if not path.is_file():
            return None
        try:
            tensors = load_file(path)
            keys, tokens, chances = (tensors[name] for name in ("keys", "tokens", "chances"))
        except (OSError, KeyError, SafetensorError) as error:
            raise ModelError(f"{path}: unreadable ({error}); `npc train phrases` makes it anew") from error
        if len(tokens) and tokens.max() >= vocab_size:
            raise ModelError(
                f"{path}: token {tokens.max()} is not among the model's {vocab_size}; it is of another model"
            )
        return cls(keys, tokens, chances)

    def write(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({"keys": self._keys, "tokens": self._tokens, "chances": self._chances}, folder / FILE)

    def following(self, reply: Sequence[int]) -> tuple[int, float]:
        """What follows `reply` by the longest phrase that is known, with its chance; (-1, 0) where none is."""
        hashes = context_keys(reply)
        places = np.searchsorted(self._keys, np.array(hashes, np.uint64))
        for n in range(len(hashes) - 1, -1, -1):
            place = places[n]
            if place < len(self._keys) and int(self._keys[place]) == hashes[n]:
                return int(self._tokens[place]), float(self._chances[place]) / 255
        return -1, 0.0


def context_keys(reply: Sequence[int]) -> list[int]:
    """A hash of the last token, of the last two, and so on up to `LONGEST`; the reply's beginning counts as a token."""
    key, keys = 0, []
    for n in range(1, min(LONGEST, len(reply) + 1) + 1):
        token = reply[-n] if n <= len(reply) else -1
        key = ((key ^ (token + 2)) * _FACTOR + n) & _MASK
        key ^= key >> 29
        keys.append(key)
    return keys


class Trust:
    """How far the chances that a source gives itself have held lately, for all replies of an engine."""

    def __init__(self) -> None:
        self._hoped, self._right = _WEIGHT, _WEIGHT

    @property
    def factor(self) -> float:
        return min(1.0, self._right / self._hoped)

    def learn(self, chance: float, is_right: bool) -> None:
        self._hoped = _MEMORY * self._hoped + chance
        self._right = _MEMORY * self._right + is_right


class Recall:
    """Drafts for one reply. `trusts`: of the prompt and of the phrases."""

    def __init__(
        self, phrases: Phrases, n_prompt: int, eos_ids: frozenset[int], trusts: tuple[Trust, Trust], row_cost: float
    ) -> None:
        self._phrases, self._n_prompt, self._eos_ids = phrases, n_prompt, eos_ids
        self._trusts, self._row_cost = trusts, row_cost
        self._lookup = PromptLookup()
        self._hopes: list[tuple[Trust, float]] = []
        self._n_idle = 0

    def draft(self, tokens: Sequence[int], n_most: int, n_replies: int = 1) -> list[int]:
        """At most `n_most` tokens that may follow `tokens`, `n_replies` being written in this step.

        A token is worth its row while it is hoped to bring more a unit of time than the step does without it.
        """
        self._lookup.index(tokens)
        text, n_before = list(tokens[-LONGEST:]), max(0, len(tokens) - LONGEST)
        n_prompt = self._n_prompt - n_before
        self._hopes = []
        worth, time, chance, copy_at = float(n_replies), 1 + self._row_cost * (n_replies - 1), 1.0, -1
        drafts: list[int] = []
        while len(drafts) < min(n_most, _LONGEST_DRAFT):
            token, own, trust, copy_at = self._next(tokens, text, max(0, n_prompt), copy_at)
            chance *= own * trust.factor
            if token < 0 or token in self._eos_ids:
                break
            if chance * time <= self._row_cost * worth:
                self._n_idle += not drafts
                if drafts or own * time <= self._row_cost * worth or self._n_idle % _TRY_EVERY:
                    break  # else nothing but mistrust stands against it: now and then, find out
            drafts.append(token)
            text.append(token)
            self._hopes.append((trust, own))
            worth, time = worth + chance, time + self._row_cost
        return drafts

    def learn(self, n_drafted: int, n_accepted: int) -> None:
        """What became of the last draft; what follows the first mistake was never judged."""
        for n, (trust, chance) in enumerate(self._hopes[: min(n_drafted, n_accepted + 1)]):
            trust.learn(chance, n < n_accepted)

    def _next(
        self, tokens: Sequence[int], text: Sequence[int], n_prompt: int, copy_at: int
    ) -> tuple[int, float, Trust, int]:
        """The surer of both sources: a token, its chance, whose it is, and where the prompt's copy would go on."""
        token, chance = self._phrases.following(text[n_prompt:])
        at = copy_at if copy_at >= 0 else self._lookup.find(text)
        if 0 <= at < len(tokens):
            copied = tokens[at]
            own = _COPY_ON if copy_at >= 0 else _COPY
            if copied == token:
                return token, max(chance, own), self._trusts[1], at + 1
            if own * self._trusts[0].factor > chance * self._trusts[1].factor:
                return copied, own, self._trusts[0], at + 1
        return token, chance, self._trusts[1], -1
