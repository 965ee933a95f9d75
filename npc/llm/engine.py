"""The language model engine: schedule, run, settle — step after step, all conversations in one batch.

`Engine` is plain and has no thread of its own, so that tests can step it;
`embedded.py` gives it one.
"""

import time
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf

import torch

from npc.errors import OverloadError, StageError
from npc.llm.draft import Drafter
from npc.llm.model import Transformer
from npc.llm.pages import Pages
from npc.llm.runner import Chosen, Runner, StepRunner
from npc.llm.scheduler import Limits, Scheduler, Work
from npc.llm.sequence import Sequence
from npc.turn import GenerationEnd

PAGE_SIZE = 16
STAGE = "language model"


class Engine:
    """Every method is called from one thread. `clock` gives monotonic seconds."""

    def __init__(
        self,
        model: Transformer,
        eos_ids: SequenceOf[int],
        n_pages: int,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        draft_model: Transformer | None = None,
        cache_type: str = "bf16",
        runner: StepRunner | None = None,
    ) -> None:
        self._eos_ids = frozenset(eos_ids)
        self._clock = clock
        self.pages = Pages(n_pages, PAGE_SIZE)
        self._drafter = Drafter(draft_model, n_pages, PAGE_SIZE, cache_type, clock) if draft_model else None
        self._scheduler = Scheduler(self.pages, limits or Limits())
        self.runner: StepRunner = runner or Runner(model, n_pages, PAGE_SIZE, cache_type)

    @property
    def is_idle(self) -> bool:
        return self._scheduler.is_idle

    def add(self, sequence: Sequence) -> None:
        """Raises OverloadError when too many wait, StageError when the cache could never hold the sequence."""
        if self._scheduler.is_full:
            raise OverloadError(f"{STAGE}: too many replies are waiting")
        n_pages = self._scheduler.n_pages(sequence)
        if n_pages > self.pages.n_pages:
            raise StageError(
                STAGE, f"{n_pages * PAGE_SIZE} tokens do not fit the cache of {self.pages.n_pages * PAGE_SIZE}"
            )
        sequence.arrived_s = self._clock()
        self._scheduler.add(sequence)

    def step(self) -> None:
        """One pass of the network for all that run; what comes of it is emitted."""
        self._scheduler.drop_cancelled()
        work = self._scheduler.plan()
        copies, self._scheduler.copies = self._scheduler.copies, []
        self.runner.copy_pages(copies)
        if self._drafter is not None:
            self._drafter.copy_pages(copies)
            self._drafter.draft(work, self._scheduler.n_spare(work))
        for each in work:
            if each.wants_logits and each.sequence.guide is not None:
                each.sequence.guide.prepare(each.drafts)
        began_s = self._clock()
        results = self.runner.run([each.rows for each in work])
        if self._drafter is not None and all(each.sequence.n_written for each in work):
            self._drafter.note_step(self._clock() - began_s)
        for each, logits in zip(work, results, strict=True):
            try:
                self._settle(each, logits)
            except StageError as error:
                self._scheduler.finish(each.sequence)
                each.sequence.emit(error)

    def fail(self, error: StageError) -> None:
        """End everything that runs or waits with `error`."""
        for sequence in self._scheduler.clear():
            sequence.emit(error)

    def _settle(self, work: Work, logits: torch.Tensor | Chosen | None) -> None:
        sequence = work.sequence
        sequence.n_cached += work.n_tokens
        sequence.n_steps += 1
        if sequence.only_reads and sequence.n_to_feed == 0:
            self._end(sequence, "stop")
        elif logits is None:
            self._scheduler.keep_read(sequence)
        elif (reason := self._write(work, logits)) is not None:
            self._end(sequence, reason)
        elif (piece := sequence.text.take()) is not None:
            sequence.emit(piece)

    def _write(self, work: Work, logits: torch.Tensor | Chosen) -> str | None:
        """Choose from `logits` [1 + n_drafts, vocab] while the drafts are what is chosen; why the reply ends, if so."""
        sequence, drafts = work.sequence, work.drafts
        if sequence.first_token_s == 0:
            self._scheduler.keep_read(sequence)
        guide, row = sequence.guide, 0
        masks = guide.masks() if guide else []  # taken now: once a token is accepted, the guide stands elsewhere
        while True:
            if isinstance(logits, Chosen):
                token = sequence.sampler.take(logits.token())
            else:
                token = sequence.sampler.choose(logits[row], guide.unpack(masks[row]) if guide else None)
            sequence.first_token_s = sequence.first_token_s or self._clock()  # by now a device has chosen it, too
            written, reason = self._append(sequence, token)
            n_agree = _n_common(written, drafts[row:])
            row += n_agree
            if reason is not None or n_agree < len(written):
                break
        sequence.n_cached += row  # accepted drafts were fed already
        sequence.n_drafted += len(drafts)
        sequence.n_accepted += row
        sequence.n_drafter_cached = min(sequence.n_drafter_cached, sequence.n_cached)
        if work.pace is not None:
            work.pace.learn(len(drafts), row)
        return reason

    def _append(self, sequence: Sequence, token: int) -> tuple[list[int], str | None]:
        """Write `token` and what the grammar forces after it: the tokens written, and why the reply ends, if so."""
        if token in self._eos_ids:
            return [], "stop"
        written = [token]
        if sequence.guide is not None:
            sequence.guide.accept([token])
            forced = sequence.guide.forced()
            sequence.guide.accept(forced)
            written += forced
        is_cut = len(written) > sequence.max_tokens - sequence.n_written
        written = written[: sequence.max_tokens - sequence.n_written]
        for each in written:
            sequence.tokens.append(each)
            sequence.sampler.note(each)
            sequence.text.push(each)
        if sequence.text.is_stopped or (sequence.guide is not None and sequence.guide.is_complete and not is_cut):
            return written, "stop"
        return written, "length" if sequence.n_written >= sequence.max_tokens else None

    def _end(self, sequence: Sequence, reason: str) -> None:
        self._scheduler.finish(sequence)
        if (piece := sequence.text.take(is_last=True)) is not None:
            sequence.emit(piece)
        now = self._clock()
        first = sequence.first_token_s or now
        sequence.emit(
            GenerationEnd(
                reason="length" if reason == "length" else "stop",
                n_prompt_tokens=sequence.n_prompt,
                n_cached_tokens=sequence.n_matched,
                n_generated_tokens=sequence.n_written,
                prefill_ms=1000 * (first - sequence.arrived_s),
                decode_ms=1000 * (now - first),
                n_steps=sequence.n_steps,
                n_drafted_tokens=sequence.n_drafted,
                n_accepted_tokens=sequence.n_accepted,
            )
        )


def _n_common(a: SequenceOf[int], b: SequenceOf[int]) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n
