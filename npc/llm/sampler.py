"""From one row of logits to one token.

Each token takes one number from its reply's own random stream, whatever
else is in the batch and however the row was computed: so equal seeds give
equal replies, alone or in company, drafted or not. The number becomes noise
for every candidate by its id, and the highest wins (Gumbel-max): two models
that think nearly alike choose alike (arXiv 2408.07978).
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from npc.turn import Sampling

_N_LIKELY = 128
"""Where top-p is cut, this many candidates nearly always hold the mass; a full sort of 50 k costs milliseconds."""


class Sampler:
    """The choices of one reply. Penalised is what the reply itself has said: quoting the prompt is not repetition."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._random = random.Random(sampling.seed)
        self._numbers: deque[int] = deque()
        self._said: dict[int, None] = {}

    @property
    def is_greedy(self) -> bool:
        return self.sampling.temperature <= 0

    @property
    def said(self) -> Mapping[int, None]:
        """The tokens of the reply, each once, in the order in which they came."""
        return self._said

    def choose(self, logits: Tensor, allowed: Tensor | None = None) -> int:
        """The next token. logits: [vocab] float; allowed: [vocab] bool, at least one of them true."""
        logits = self._penalised(logits.float(), self._said)
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        return self.take(_likeliest(logits) if self.is_greedy else self._draw(logits, self.number(0)))

    def take(self, token: int) -> int:
        """`token` was chosen, here or by a device, with the number that was next."""
        if not self.is_greedy:
            self._numbers.popleft()
        return token

    def guess(self, logits: Tensor, drafts: Sequence[int], allowed: Tensor | None = None) -> int:
        """What `choose` would take after `drafts` if these were the logits, [vocab], then; changes nothing.

        It takes the very random number that `choose` will: a draft model whose probabilities are near draws the same.
        """
        logits = self._penalised(logits.float(), {**self._said, **dict.fromkeys(drafts)})
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        return _likeliest(logits) if self.is_greedy else self._draw(logits, self.number(len(drafts)))

    def note(self, token: int) -> None:
        """`token` is part of the reply, chosen or forced."""
        self._said[token] = None

    def number(self, ahead: int) -> int:
        """The reply's own random number, of 64 bits, for the token after `ahead` more."""
        while len(self._numbers) <= ahead:
            self._numbers.append(self._random.getrandbits(64))
        return self._numbers[ahead]

    def _penalised(self, logits: Tensor, said: Mapping[int, None]) -> Tensor:
        penalty = self.sampling.repetition_penalty
        if not said or penalty == 1.0:
            return logits
        return penalise(logits, torch.tensor(list(said), device=logits.device), penalty)

    def _draw(self, logits: Tensor, number: int) -> int:
        return draw(logits, number, self.sampling.temperature, self.sampling.top_p, self.sampling.top_k)


def penalise(logits: Tensor, said: Tensor, penalty: float) -> Tensor:
    """CTRL's penalty (arXiv 1909.05858): what was said, [n] ids, is less likely, whichever sign its logit has."""
    values = logits[said]
    return logits.index_copy(0, said, torch.where(values > 0, values / penalty, values * penalty))


def draw(logits: Tensor, number: int, temperature: float, top_p: float, top_k: int) -> int:
    """What the random `number` of 64 bits makes of `logits` [vocab]."""
    probabilities = torch.softmax(logits / temperature, -1)
    n = logits.shape[-1]
    if top_p >= 1 and not 0 < top_k < n:
        ids, kept = None, probabilities
    else:
        n_likely = min(n, max(_N_LIKELY, top_k))
        kept, ids = probabilities.topk(n_likely)
        if top_k > 0:
            kept, ids = kept[:top_k], ids[:top_k]
        elif float(kept.sum()) < top_p:
            kept, ids = probabilities.sort(descending=True)
        if top_p < 1:
            # The first token that reaches top_p is still in, of what top_k left.
            before = kept.cumsum(-1) - kept
            n_kept = max(1, int((before < top_p * (kept.sum() if top_k > 0 else 1.0)).sum()))
            kept, ids = kept[:n_kept], ids[:n_kept]
    candidates = np.arange(n) if ids is None else ids.cpu().numpy()
    with np.errstate(divide="ignore"):  # what has no probability has no chance
        scores = np.log(kept.double().cpu().numpy()) + _gumbel(number, candidates)
    return int(candidates[scores.argmax()])


def _likeliest(logits: Tensor) -> int:
    # numpy's is one vectorised loop; torch's wakes threads that then spin beside the network's.
    return int(logits.numpy().argmax()) if logits.device.type == "cpu" else int(logits.argmax())


def _gumbel(number: int, ids: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "np.ndarray[tuple[int], np.dtype[Any]]":
    """Gumbel noise [n] for each of `ids`, the same whenever `number` is: SplitMix64 of both, as a uniform number."""
    bits = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(number)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53
    noise: np.ndarray[tuple[int], np.dtype[Any]] = -np.log(-np.log(uniform))
    return noise
