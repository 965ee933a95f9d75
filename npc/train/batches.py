"""Chat examples as token batches: padded alike, loss on the reply alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from npc.llm.tokenizer import ChatTokenizer
from npc.train.generate import ChatExample

IGNORED = -100
"""What cross entropy skips."""


@dataclass(frozen=True, slots=True)
class Tokens:
    ids: tuple[int, ...]
    n_prompt: int
    """Tokens that are given; the rest is the reply and its end, and is learnt."""


@dataclass(frozen=True, slots=True)
class Batch:
    ids: Tensor  # [n, length] int64
    mask: Tensor  # [n, length] int64, 0 where padded
    labels: Tensor  # [n, length] int64, IGNORED but for replies

    def to(self, device: str) -> "Batch":
        return Batch(*(t.to(device, non_blocking=True) for t in (self.ids, self.mask, self.labels)))


def tokenise(
    examples: Iterable[ChatExample], tokenizer: ChatTokenizer, eos_id: int, max_tokens: int
) -> Iterator[Tokens]:
    """Prompts exactly as the engine encodes them, so that training and play meet the same tokens."""
    for example in examples:
        prompt = tokenizer.prompt(example.messages)
        reply = tokenizer.encode(example.reply)
        if len(prompt) + len(reply) + 1 <= max_tokens:
            yield Tokens((*prompt, *reply, eos_id), len(prompt))


def batches(tokens: Sequence[Tokens], batch_tokens: int, seed: int) -> list[list[int]]:
    """Indices that run together: of like length, so that little is padding; batches in random order."""
    random = Random(seed)
    order = sorted(range(len(tokens)), key=lambda n: (len(tokens[n].ids) // 16, random.random()))
    made: list[list[int]] = []
    current: list[int] = []
    longest = 0
    for n in order:
        longest = max(longest, len(tokens[n].ids))
        if current and longest * (len(current) + 1) > batch_tokens:
            made.append(current)
            current, longest = [], len(tokens[n].ids)
        current.append(n)
    if current:
        made.append(current)
    random.shuffle(made)
    return made


def collate(chosen: Sequence[Tokens], pad_id: int) -> Batch:
    length = max(len(each.ids) for each in chosen)
    ids = torch.full((len(chosen), length), pad_id, dtype=torch.long)
    mask = torch.zeros((len(chosen), length), dtype=torch.long)
    labels = torch.full((len(chosen), length), IGNORED, dtype=torch.long)
    for row, each in enumerate(chosen):
        n = len(each.ids)
        ids[row, :n] = torch.tensor(each.ids)
        mask[row, :n] = 1
        labels[row, each.n_prompt : n] = ids[row, each.n_prompt : n]
    return Batch(ids, mask, labels)
