"""From one row of logits to one token.

Each token takes one number from its reply's own random stream, whatever
else is in the batch and however the row was computed: so equal seeds give
equal replies, alone or in company, drafted or not.
"""

import random

import numpy as np
import torch
from torch import Tensor

from npc.turn import Sampling

_N_LIKELY = 128
"""Where top-p is cut, this many candidates nearly always hold the mass; a full sort of 50 k costs milliseconds."""


class Sampler:
    """The choices of one reply. Penalised is what the reply itself has said: quoting the prompt is not repetition."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = random.Random(sampling.seed)
        self._said: dict[int, None] = {}

    @property
    def is_greedy(self) -> bool:
        return self._sampling.temperature <= 0

    def choose(self, logits: Tensor, allowed: Tensor | None = None) -> int:
        """The next token. logits: [vocab] float; allowed: [vocab] bool, at least one of them true."""
        logits = logits.float()
        if self._said and self._sampling.repetition_penalty != 1.0:
            logits = self._penalised(logits)
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        if self.is_greedy:
            return int(logits.argmax())
        return self._draw(logits)

    def note(self, token: int) -> None:
        """`token` is part of the reply, chosen or forced."""
        self._said[token] = None

    def _penalised(self, logits: Tensor) -> Tensor:
        """CTRL's penalty (arXiv 1909.05858): what was said is less likely, whichever sign its logit has."""
        said = torch.tensor(list(self._said), device=logits.device)
        values, penalty = logits[said], self._sampling.repetition_penalty
        return logits.index_copy(0, said, torch.where(values > 0, values / penalty, values * penalty))

    def _draw(self, logits: Tensor) -> int:
        top_p, top_k = self._sampling.top_p, self._sampling.top_k
        probabilities = torch.softmax(logits / self._sampling.temperature, -1)
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
        cumulative = kept.double().cumsum(-1).cpu().numpy()
        at = int(np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right"))
        # Rounding may land beyond the last, or on a tail of zero probability.
        at = min(at, int(np.searchsorted(cumulative, cumulative[-1])))
        return at if ids is None else int(ids[at])
