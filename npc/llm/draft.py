"""Drafts by a small model: it shares the tokenizer and the pages, and has keys and values of its own in them.

It reads every prompt beside the network, so that a remembered prefix is
remembered for both. Then, where prompt look-up knows nothing, it writes a few
tokens ahead of each reply, for all replies at once; the network checks them
in the pass that it makes anyway. A gap in what it has read costs acceptance
and nothing else.
"""

import time
from collections.abc import Callable, Sequence

from torch import Tensor

from npc.llm.model import Transformer
from npc.llm.runner import Rows, Runner
from npc.llm.scheduler import Work

_MEMORY = 0.9
"""How much of a time that was measured before is kept when it is measured again."""


class Drafter:
    """`clock` gives monotonic seconds: the cost of drafting decides how much of it pays."""

    def __init__(
        self,
        model: Transformer,
        n_pages: int,
        page_size: int,
        cache_type: str = "bf16",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runner = Runner(model, n_pages, page_size, cache_type)
        self._clock = clock
        self._pass_s = self._step_s = 0.0

    def copy_pages(self, copies: Sequence[tuple[int, int]]) -> None:
        self._runner.copy_pages(copies)

    def draft(self, work: Sequence[Work], n_most: int) -> None:
        """Read the prompts in `work`, and give its replies that have no drafts some, at most `n_most` in all."""
        targets = self._targets(work, n_most)
        reading = [each for each in work if each.sequence.n_written == 0]
        feed = [_unread(each, 1) for each, _ in targets] + [_unread(each, 0) for each in reading]
        is_first = True
        while feed:
            for each, _ in targets:
                if each.sequence.guide is not None:
                    each.sequence.guide.prepare(each.drafts)
            drafted = [
                (each, n)
                for (each, n), logits in zip(targets, self._run(feed, is_timed=not is_first), strict=False)
                if logits is not None and _append(each, logits[0])
            ]
            targets = [(each, n) for each, n in drafted if len(each.drafts) < n]
            feed = [_last_draft(each) for each, _ in targets]
            is_first = False

    def note_step(self, seconds: float) -> None:
        """How long the network took for a step of replies alone."""
        self._step_s = _mean(self._step_s, seconds)

    def _targets(self, work: Sequence[Work], n_most: int) -> list[tuple[Work, int]]:
        cost = self._pass_s / self._step_s if self._step_s else 0.0
        targets = []
        for each in work:
            sequence = each.sequence
            if sequence.payoff is None or sequence.n_written == 0 or each.drafts:
                continue
            # The step itself writes one token more than was drafted.
            n = min(sequence.payoff.length(cost), n_most, sequence.max_tokens - sequence.n_written - 1)
            if n > 0:
                each.pace = sequence.payoff
                targets.append((each, n))
                n_most -= n
        return targets

    def _run(self, feed: Sequence[Rows], *, is_timed: bool) -> list[Tensor | None]:
        began_s = self._clock()
        logits = self._runner.run(feed)
        if is_timed:  # the first pass of a step has more to read than a token each
            self._pass_s = _mean(self._pass_s, self._clock() - began_s)
        return logits


def _unread(work: Work, n_wanted: int) -> Rows:
    """What the network will have read after this step, and the draft model has not."""
    sequence, first = work.sequence, work.sequence.n_drafter_cached
    sequence.n_drafter_cached = sequence.n_cached + work.n_tokens
    return Rows(sequence.tokens[first : sequence.n_drafter_cached], first, sequence.pages, n_wanted)


def _append(work: Work, logits: Tensor) -> bool:
    """Add the draft that `logits` [vocab] suggest; False when the grammar lets the reply go no further."""
    guide = work.sequence.guide
    if guide is None:
        work.drafts.append(work.sequence.sampler.guess(logits, work.drafts))
        return True
    masks = guide.masks()
    if len(masks) <= len(work.drafts):
        return False
    work.drafts.append(work.sequence.sampler.guess(logits, work.drafts, guide.unpack(masks[-1])))
    return True


def _last_draft(work: Work) -> Rows:
    sequence = work.sequence
    sequence.n_drafter_cached += 1
    return Rows(work.drafts[-1:], sequence.n_drafter_cached - 1, sequence.pages, 1)


def _mean(before: float, now: float) -> float:
    return _MEMORY * before + (1 - _MEMORY) * now if before else now
