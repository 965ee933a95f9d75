"""What quantised weights lose, on a text: perplexity, and how often the likeliest next token is bfloat16's."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

from npc.errors import InputError
from npc.llm import weights
from npc.llm.runner import Rows, Runner
from npc.llm.tokenizer import ChatTokenizer

WINDOW = 512
"""Tokens that are read in one piece; the next piece begins anew."""
CHUNK = 16
"""Tokens a step: so few that the kernels are those which write replies."""
_PAGE = 16


@dataclass(frozen=True, slots=True)
class Loss:
    weights: str
    cache: str
    """How keys and values were kept."""
    n_bytes: int
    """Of the cache file, embedding and all."""
    n_tokens: int
    perplexity: float
    top1_agreement: float
    """Share of the tokens after which the likeliest next one is bfloat16's."""
    divergence: float
    """Mean of KL(bfloat16 ‖ these weights), in nats a token."""


def measure_loss(
    model_folder: Path,
    derived: Path,
    text: str,
    kinds: Sequence[tuple[str, str]] = (("bf16", "bf16"), ("int8", "bf16"), ("int4", "bf16"), ("int4", "int8")),
    n_tokens: int = 2048,
) -> list[Loss]:
    """Losses on the first `n_tokens` of `text`, for each pair of weights and cache. Raises InputError, ModelError."""
    tokens = ChatTokenizer(model_folder).encode(text)[:n_tokens]
    if len(tokens) < 32:
        raise InputError(f"the text has {len(tokens)} tokens; 32 are the least that says anything")
    windows = [tokens[at : at + WINDOW] for at in range(0, len(tokens) - 1, WINDOW)]
    exact = [_log_probabilities(model_folder, derived, "bf16", "bf16", window) for window in windows]
    return [_loss(model_folder, derived, weights_, cache, windows, exact) for weights_, cache in kinds]


def _loss(
    folder: Path, derived: Path, weights_: str, cache: str, windows: Sequence[list[int]], exact: Sequence[Tensor]
) -> Loss:
    surprise = divergence = 0.0
    n_agree = n_next = n_all = 0
    for window, reference in zip(windows, exact, strict=True):
        own = _log_probabilities(folder, derived, weights_, cache, window)  # [n, vocab]
        following = torch.tensor(window[1:])
        surprise += float(F.nll_loss(own[:-1].float(), following, reduction="sum"))
        n_next += len(following)
        n_agree += int((own.argmax(-1) == reference.argmax(-1)).sum())
        n_all += len(window)
        for mine, theirs in zip(torch.split(own, 64), torch.split(reference, 64), strict=True):
            theirs = theirs.float()
            divergence += float((theirs.exp() * (theirs - mine.float())).sum())
    return Loss(
        weights=weights_,
        cache=cache,
        n_bytes=weights.prepare(folder, derived, weights_).stat().st_size,
        n_tokens=n_all,
        perplexity=math.exp(surprise / n_next),
        top1_agreement=n_agree / n_all,
        divergence=divergence / n_all,
    )


def _log_probabilities(folder: Path, derived: Path, weights_: str, cache: str, window: list[int]) -> Tensor:
    """[len(window), vocab] float16: of the token after each."""
    model = weights.load(folder, derived, weights_, WINDOW)
    n_pages = -(-len(window) // _PAGE)
    runner = Runner(model, n_pages, _PAGE, cache)
    rows: Iterator[Rows] = (
        Rows(window[at : at + CHUNK], at, range(n_pages), len(window[at : at + CHUNK]))
        for at in range(0, len(window), CHUNK)
    )
    parts = [logits for each in rows if (logits := runner.run([each])[0]) is not None]
    return torch.cat([torch.log_softmax(part.float(), -1).half() for part in parts])
