"""A planned step as tensors: where each token's keys and values go, and what each may look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from npc.llm.cache import CACHES
from npc.llm.grammar import GrammarGuide
from npc.llm.model import Batch, Group, Transformer
from npc.llm.sampler import Sampler


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive tokens of one text: `tokens` stand at `first` and after; `pages` hold the text from its start."""

    tokens: Sequence[int]
    first: int
    pages: Sequence[int]
    n_wanted: int
    """Logits are asked for after each of the last `n_wanted` tokens."""
    sampler: Sampler | None = None
    """Who will choose by the logits, and what is legal then: a device may choose for them."""
    guide: GrammarGuide | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A token that a device chooses in a sampler's stead; reading it waits until it is there."""

    token: Callable[[], int]


class StepRunner(Protocol):
    """What an engine runs its steps by."""

    def copy_pages(self, copies: Sequence[tuple[int, int]]) -> None: ...

    def run(self, rows: Sequence[Rows]) -> Sequence[Tensor | Chosen | None]:
        """Logits [n_wanted, vocab] of each, or what was chosen by them; None where none are wanted."""
        ...


class Runner:
    """Owns the key/value cache of every layer; `cache_type` is 'bf16' (the model's own dtype) or 'int8'."""

    def __init__(self, model: Transformer, n_pages: int, page_size: int, cache_type: str = "bf16") -> None:
        self._model, self._page_size = model, page_size
        make, arch = CACHES[cache_type], model.arch
        self.cache = [make(arch, n_pages, page_size, model.dtype, model.device) for _ in range(arch.n_layers)]

    def copy_pages(self, copies: Sequence[tuple[int, int]]) -> None:
        for source, target in copies:
            for layer in self.cache:
                layer.copy_page(source, target)

    def run(self, rows: Sequence[Rows]) -> list[Tensor | None]:
        """Logits [n_wanted, vocab] of each, None where none are wanted."""
        # A prompt that is remembered whole has nothing to feed.
        order = sorted(
            (index for index in range(len(rows)) if rows[index].tokens), key=lambda index: len(rows[index].tokens)
        )
        if not order:
            return [None] * len(rows)
        ids: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        wanted: list[int] = []
        groups: list[Group] = []
        for _, members in groupby(order, key=lambda index: len(rows[index].tokens)):
            some = [rows[index] for index in members]
            start = len(ids)
            for each in some:
                ids += each.tokens
                for position in range(each.first, each.first + len(each.tokens)):
                    positions.append(position)
                    slots.append(each.pages[position // self._page_size] * self._page_size + position % self._page_size)
                wanted += range(len(ids) - each.n_wanted, len(ids))
            groups.append(self._group(some, start))
        device = self._model.device
        batch = Batch(
            torch.tensor(ids, device=device),
            torch.tensor(positions, device=device),
            torch.tensor(slots, device=device),
            groups,
            torch.tensor(wanted, device=device) if wanted else None,
        )
        with torch.inference_mode():
            logits = self._model.forward(batch, self.cache)
        results: list[Tensor | None] = [None] * len(rows)
        at = 0
        for index in order:
            n_wanted = rows[index].n_wanted
            if logits is not None and n_wanted:
                results[index] = logits[at : at + n_wanted]
                at += n_wanted
        return results

    def _group(self, rows: Sequence[Rows], start: int) -> Group:
        n_queries = len(rows[0].tokens)
        n_pages = max(-(-(each.first + n_queries) // self._page_size) for each in rows)
        tables = [list(each.pages[:n_pages]) for each in rows]
        # A shorter table is filled with its own first page: what lies there is behind the mask.
        pages = [table + table[:1] * (n_pages - len(table)) for table in tables]
        is_whole = all(each.first == 0 for each in rows)
        return Group(start, len(rows), n_queries, torch.tensor(pages, device=self._model.device), is_whole)
