"""A planned step as tensors: where each token's keys and values go, and what each may look at."""

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from npc.llm.model import Batch, Group, Transformer
from npc.llm.scheduler import Work


class Runner:
    """Owns the key/value cache, a tensor [n_pages, page_size, kv_size] for each layer."""

    def __init__(self, model: Transformer, n_pages: int, page_size: int) -> None:
        self._model, self._page_size = model, page_size
        shape = (n_pages, page_size, model.arch.kv_size)
        self._cache = [_zeros(shape, model) for _ in range(model.arch.n_layers)]

    def copy_pages(self, copies: Sequence[tuple[int, int]]) -> None:
        for source, target in copies:
            for layer in self._cache:
                layer[target].copy_(layer[source])

    def run(self, work: Sequence[Work]) -> list[Tensor | None]:
        """Logits [1 + n_drafts, vocab] of each work that reaches its sequence's end, else None."""
        # A prompt that is remembered whole has nothing to feed.
        order = sorted(
            (index for index in range(len(work)) if work[index].n_rows), key=lambda index: work[index].n_rows
        )
        if not order:
            return [None] * len(work)
        ids: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        wanted: list[int] = []
        groups: list[Group] = []
        for _, members in groupby(order, key=lambda index: work[index].n_rows):
            some = [work[index] for index in members]
            start = len(ids)
            for each in some:
                self._lay_out(each, ids, positions, slots, wanted)
            groups.append(self._group(some, start, positions[start:]))
        device = self._model.device
        batch = Batch(
            torch.tensor(ids, device=device),
            torch.tensor(positions, device=device),
            torch.tensor(slots, device=device),
            groups,
            torch.tensor(wanted, device=device) if wanted else None,
        )
        with torch.inference_mode():
            logits = self._model.forward(batch, self._cache)
        return self._split(work, order, logits)

    def _lay_out(self, work: Work, ids: list[int], positions: list[int], slots: list[int], wanted: list[int]) -> None:
        sequence, size = work.sequence, self._page_size
        first = sequence.n_cached
        ids += sequence.tokens[first : first + work.n_tokens] + work.drafts
        for position in range(first, first + work.n_rows):
            positions.append(position)
            slots.append(sequence.pages[position // size] * size + position % size)
        if work.wants_logits:
            wanted += range(len(ids) - 1 - len(work.drafts), len(ids))

    def _group(self, work: Sequence[Work], start: int, positions: list[int]) -> Group:
        arch, device, dtype = self._model.arch, self._model.device, self._model.dtype
        n_sequences, n_queries = len(work), work[0].n_rows
        n_pages = max(-(-(each.sequence.n_cached + n_queries) // self._page_size) for each in work)
        tables = [each.sequence.pages[:n_pages] for each in work]
        # A shorter table is filled with its own first page: what lies there is behind the mask.
        pages = torch.tensor([table + table[:1] * (n_pages - len(table)) for table in tables], device=device)
        at = torch.tensor(positions, device=device).view(n_sequences, n_queries, 1)
        keys = torch.arange(n_pages * self._page_size, device=device)
        masks: dict[int, Tensor | None] = {}
        for window in set(arch.windows):
            seen = keys <= at if window == 0 else (keys <= at) & (keys > at - window)
            mask = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, -torch.inf)
            masks[window] = mask.repeat(1, arch.n_heads // arch.n_kv_heads, 1)[:, None]
        return Group(start, n_sequences, n_queries, pages, masks)

    def _split(self, work: Sequence[Work], order: Sequence[int], logits: Tensor | None) -> list[Tensor | None]:
        results: list[Tensor | None] = [None] * len(work)
        at = 0
        for index in order:
            if logits is not None and work[index].wants_logits:
                n_rows = 1 + len(work[index].drafts)
                results[index] = logits[at : at + n_rows]
                at += n_rows
        return results


def _zeros(shape: tuple[int, ...], model: Transformer) -> Tensor:
    """Zeros, since a masked position's value is multiplied by 0, which leaves NaN as it is.

    On a CPU, numpy's come from the system without being touched: pages take memory only when they are used.
    """
    if model.device.type != "cpu":
        return torch.zeros(shape, dtype=model.dtype, device=model.device)
    n_bytes = math.prod(shape) * model.dtype.itemsize
    return torch.from_numpy(np.zeros(n_bytes, np.uint8)).view(model.dtype).view(shape)
