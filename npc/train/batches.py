"""Chat examples as token batches: padded alike, loss on the replies alone."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npc.llm.tokenizer import ChatTokenizer
from npc.train.generate import ChatExample
from npc.turn import ChatMessage


@dataclass(frozen=True, slots=True)
class Tokens:
    ids: NDArray[np.int32]  # [length]
    n_prompt: int
    """Tokens that are given; the rest is the reply and its end, and is learnt."""
    earlier: tuple[tuple[int, int], ...] = ()
    """Stretches within the prompt that are replies too, ends included, and are learnt as well."""
    kind: str = ""
    call: tuple[int, int] | None = None
    """Where the reply's calls stand, counted from its first token; where it has none, its end: nothing is called."""

    @property
    def learnt(self) -> tuple[tuple[int, int], ...]:
        return (*self.earlier, (self.n_prompt, len(self.ids)))

    @property
    def n_learnt(self) -> int:
        return sum(end - begin for begin, end in self.learnt)


@dataclass(frozen=True, slots=True)
class Batch:
    ids: Tensor  # [n, length] int64, padded behind the text
    at: Tensor  # [n_learnt] int64: where in `ids`, laid flat, the token before each learnt one stands
    labels: Tensor  # [n_learnt] int64: what is learnt there, row by row

    def to(self, device: str) -> "Batch":
        """Without waiting for the device."""
        is_cuda = device.startswith("cuda")
        ids, at, labels = (
            (t.pin_memory() if is_cuda else t).to(device, non_blocking=True) for t in (self.ids, self.at, self.labels)
        )
        return Batch(ids, at, labels)


def tokenise(
    examples: Iterable[ChatExample], tokenizer: ChatTokenizer, eos_id: int, max_tokens: int
) -> Iterator[Tokens]:
    """Prompts exactly as the engine encodes them, so that training and play meet the same tokens."""
    opener = _opener(tokenizer)
    for example in examples:
        prompt = tokenizer.prompt(example.messages)
        reply = tokenizer.encode(example.reply)
        if len(prompt) + len(reply) + 1 <= max_tokens:
            ids = np.array([*prompt, *reply, eos_id], np.int32)
            earlier = _earlier(example, ids, len(prompt), opener, eos_id)
            yield Tokens(ids, len(prompt), earlier, example.kind, _call(example.reply, tokenizer, len(reply)))


def _call(reply: str, tokenizer: ChatTokenizer, n_reply: int) -> tuple[int, int]:
    """From the first call of an action to the last; the end of the reply where there is none."""
    calls = list(re.finditer(r"\[(?!feel\(|gesture\()[^\]]*\]", reply))
    if not calls:
        return n_reply, n_reply + 1
    return len(tokenizer.encode(reply[: calls[0].start()].rstrip())), len(tokenizer.encode(reply[: calls[-1].end()]))


def _opener(tokenizer: ChatTokenizer) -> list[int]:
    """What the template writes before each reply."""
    asked = [ChatMessage("user", "?")]
    return tokenizer.encode(
        tokenizer.render(asked, opens_reply=True).removeprefix(tokenizer.render(asked, opens_reply=False))
    )


def _earlier(
    example: ChatExample, ids: NDArray[np.int32], n_prompt: int, opener: Sequence[int], eos_id: int
) -> tuple[tuple[int, int], ...]:
    """None where the template writes replies of the past in another way than the one that is asked for."""
    if not example.earlier or not opener:
        return ()
    replies = [n for n, message in enumerate(example.messages) if message.role == "assistant"]
    width = len(opener)
    found = [
        int(at) + width
        for at in np.flatnonzero(ids[: n_prompt - width + 1] == opener[0])
        if ids[at : at + width].tolist() == list(opener)
    ]
    if len(found) != len(replies) + 1:  # the last one opens the reply itself
        return ()
    ends = np.flatnonzero(ids == eos_id)
    return tuple(
        (begin, int(ends[np.searchsorted(ends, begin)]) + 1)
        for begin, message in zip(found, replies, strict=False)
        if message in example.earlier
    )


def batches(tokens: Sequence[Tokens], batch_tokens: int, seed: int | str) -> list[list[int]]:
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
    ids = np.full((len(chosen), length), pad_id, np.int64)
    at: list[NDArray[np.int64]] = []
    for row, each in enumerate(chosen):
        ids[row, : len(each.ids)] = each.ids
        at += [np.arange(begin, end) + (row * length - 1) for begin, end in each.learnt]
    where = np.concatenate(at)
    return Batch(torch.from_numpy(ids), torch.from_numpy(where), torch.from_numpy(ids.reshape(-1)[where + 1]))
