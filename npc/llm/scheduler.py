"""Which sequences run in the next step, and how many tokens each feeds.

Replies under way feed one token (and drafts) every step. Prompts share what
is left of the step's budget evenly, in chunks, so that a long one holds up
neither the others nor the replies; prompts read ahead of need come last, yet
always move. A sequence is admitted when all pages it may ever need are had:
once begun, it ends.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from npc.llm.pages import Pages
from npc.llm.runner import Rows
from npc.llm.sequence import Sequence
from npc.llm.speculate import Pace


@dataclass(slots=True)
class Work:
    """One sequence's share of a step: its next `n_tokens` uncached tokens, then `drafts`."""

    sequence: Sequence
    n_tokens: int
    drafts: list[int] = field(default_factory=list)
    pace: Pace | None = None
    """Who hears what became of the drafts."""

    @property
    def wants_logits(self) -> bool:
        return self.n_tokens == self.sequence.n_to_feed and not self.sequence.only_reads

    @property
    def n_rows(self) -> int:
        return self.n_tokens + len(self.drafts)

    @property
    def rows(self) -> Rows:
        sequence = self.sequence
        fed = sequence.tokens[sequence.n_cached : sequence.n_cached + self.n_tokens]
        n_wanted = 1 + len(self.drafts) if self.wants_logits else 0
        return Rows(fed + self.drafts, sequence.n_cached, sequence.pages, n_wanted, sequence.sampler, sequence.guide)


@dataclass(frozen=True, slots=True)
class Limits:
    n_running: int = 16
    n_waiting: int = 256
    chunk: int = 640
    """Prompt tokens a step while nobody waits for the next word of a reply: a character's prompt, read in one."""
    chunk_beside_replies: int = 64
    least_chunk: int = 16
    n_rows: int = 16
    """Rows of replies and drafts in a step: the room that is left over is drafted for."""


class Scheduler:
    def __init__(self, pages: Pages, limits: Limits) -> None:
        self._pages, self._limits = pages, limits
        self._waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.copies: list[tuple[int, int]] = []
        """Pages to copy (from, to) before the next step runs."""

    @property
    def is_idle(self) -> bool:
        return not self.running and not self._waiting

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self._limits.n_waiting

    def add(self, sequence: Sequence) -> None:
        self._waiting.append(sequence)

    def drop_cancelled(self) -> None:
        for sequence in [each for each in self.running if each.is_cancelled]:
            self.finish(sequence)
        if any(each.is_cancelled for each in self._waiting):
            self._waiting = deque(each for each in self._waiting if not each.is_cancelled)

    def plan(self) -> list[Work]:
        """The next step. Empty only when there is nothing to do."""
        while self._waiting and len(self.running) < self._limits.n_running and self._admit(self._waiting[0]):
            self.running.append(self._waiting.popleft())
        replies = [each for each in self.running if each.n_written > 0]
        work = [Work(each, each.n_to_feed) for each in replies]
        self._draft(work)
        reading = [each for each in self.running if each.n_written == 0]
        budget = self._limits.chunk_beside_replies if replies else self._limits.chunk
        work += self._share([each for each in reading if not each.only_reads], budget)
        if len(work) == len(replies):  # nobody waits for a reply: read ahead
            work += self._share([each for each in reading if each.only_reads], budget)
        elif ahead := next((each for each in reading if each.only_reads), None):
            work += self._share([ahead], self._limits.least_chunk)
        return work

    def keep_read(self, sequence: Sequence) -> None:
        """Remember the pages that `sequence` has filled, for all."""
        size = self._pages.page_size
        while (len(sequence.nodes) + 1) * size <= sequence.n_cached:
            self._keep(sequence, size)

    def finish(self, sequence: Sequence) -> None:
        """Remember what was read and written, and let go of every page."""
        self.keep_read(sequence)
        n_rest = sequence.n_cached - len(sequence.nodes) * self._pages.page_size
        if n_rest > 0:
            self._keep(sequence, n_rest)
        self._pages.give_back(sequence.pages[len(sequence.nodes) :])
        self._pages.unlock(sequence.nodes)
        sequence.pages, sequence.nodes = [], []
        self.running.remove(sequence)

    def clear(self) -> list[Sequence]:
        """Drop everything; what was dropped."""
        dropped = [*self.running, *self._waiting]
        self._waiting.clear()
        for sequence in list(self.running):
            self.finish(sequence)
        return dropped

    def n_pages(self, sequence: Sequence) -> int:
        """All that `sequence` may ever need."""
        return -(-(sequence.n_prompt + sequence.max_tokens) // self._pages.page_size)

    def _admit(self, sequence: Sequence) -> bool:
        # The last token is fed even when it is remembered: its logits are what is asked for.
        match = self._pages.match(sequence.tokens if sequence.only_reads else sequence.tokens[:-1])
        own = self._pages.take(self.n_pages(sequence) - len(match.nodes))
        if own is None:
            self._pages.unlock([*match.nodes, *([match.partial] if match.partial else [])])
            return False
        sequence.nodes = match.nodes
        sequence.pages = [node.page for node in match.nodes] + own
        sequence.n_cached = len(match.nodes) * self._pages.page_size
        if match.partial is not None:
            self.copies.append((match.partial.page, own[0]))
            sequence.n_cached += match.n_partial
            # Nothing can take the page before the copy is made: copies run first thing in this step.
            self._pages.unlock([match.partial])
        sequence.n_matched = sequence.n_drafter_cached = sequence.n_cached
        return True

    def _keep(self, sequence: Sequence, n_tokens: int) -> None:
        index, start = len(sequence.nodes), len(sequence.nodes) * self._pages.page_size
        parent = sequence.nodes[-1] if sequence.nodes else None
        node = self._pages.remember(parent, sequence.tokens[start : start + n_tokens], sequence.pages[index])
        sequence.pages[index] = node.page
        sequence.nodes.append(node)

    def n_spare(self, work: Iterable[Work]) -> int:
        """Rows of a step that may still be drafted for."""
        return self._limits.n_rows - sum(each.n_rows for each in work if each.sequence.n_written > 0)

    def _draft(self, work: list[Work]) -> None:
        n_spare = self.n_spare(work)
        for each in work:
            sequence = each.sequence
            if sequence.lookup is None or n_spare <= 0:
                continue
            # The step itself writes one token more than was drafted.
            n_most = min(n_spare, sequence.max_tokens - sequence.n_written - 1)
            drafts = sequence.lookup.draft(sequence.tokens, n_most, len(work)) if n_most > 0 else []
            if drafts and sequence.guide is not None:
                drafts = drafts[: sequence.guide.n_legal(drafts)]
            each.drafts, each.pace = drafts, sequence.lookup
            n_spare -= len(drafts)

    def _share(self, sequences: Iterable[Sequence], budget: int) -> list[Work]:
        """Split `budget` evenly; what short prompts leave goes to the longer ones."""
        work = []
        shortest_first = sorted(sequences, key=lambda each: each.n_to_feed)
        for n_done, sequence in enumerate(shortest_first):
            share = max(budget // (len(shortest_first) - n_done), self._limits.least_chunk)
            n_tokens = min(sequence.n_to_feed, share)
            budget -= n_tokens
            work.append(Work(sequence, n_tokens))
        return work
