"""Steps on a device: few rows by graphs on buffers that stay, long prompts by the plain network.

The host is never waited for, and waits once a step, for tokens. While it
settles them, the next pass already runs: `_run_ahead` feeds what was just
chosen, without its being read. Is the next step the one that was foreseen, its
logits are there; else (a reply came, tokens were forced or drafted) the rows
are fed again, which writes the same keys and values once more.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from npc.llm.gpu.step import BUCKETS, N_ROWS, Buffers, Field, Ops, Step
from npc.llm.gpu.upload import Reader, Upload
from npc.llm.model import Transformer
from npc.llm.runner import Chosen, Rows, Runner
from npc.llm.sampler import Sampler

_log = logging.getLogger(__name__)

Result = Tensor | Chosen | None


@dataclass(frozen=True, slots=True)
class _Fed:
    """A row that was fed: where, of which text (its list of pages tells it from all others), and its token."""

    pages: Sequence[int]
    position: int
    token: Callable[[], int]

    def is_of(self, rows: Rows) -> bool:
        """Whether `rows` ask for just this. Their text has been settled: the token is there to be read."""
        return rows.pages is self.pages and rows.first == self.position and list(rows.tokens) == [self.token()]


@dataclass(slots=True)
class _Slot:
    """A row of `said`, how many tokens of its reply it is known to have, and the one that was chosen last."""

    row: int
    n_noted: int = 0
    token: Callable[[], int] | None = None


class GpuRunner:
    """A `StepRunner`. `make_ops` gives the kernels; on a CUDA device steps are captured in graphs."""

    def __init__(
        self,
        model: Transformer,
        n_pages: int,
        page_size: int,
        cache_type: str,
        make_ops: Callable[[Transformer], Ops],
        is_captured: bool = True,
    ) -> None:
        self._device, self._page_size = model.device, page_size
        self._idle_page = n_pages  # one more than there are: where rows that mean nothing are written
        self._prompts = Runner(model, n_pages + 1, page_size, cache_type)
        self._n_table = -(-model.n_positions // page_size)
        self._buffers = Buffers.make(model.arch, self._n_table, model.dtype, model.device)
        # Kept also where graphs run instead: they read and write what the kernels have made for themselves.
        self._step = Step(model, self._prompts.cache, self._buffers, make_ops(model))
        self._forward, self._choose = self._step.forward, self._step.choose
        self._places = Upload(self._buffers.places)
        self._ids = Upload(self._buffers.ids)
        self._params = Upload(self._buffers.params)
        self._masks = Upload(self._buffers.masks)
        self._reader = Reader(self._buffers.chosen)
        self._places.values[:, 1:] = self._idle_page
        self._places.send(N_ROWS)
        self._slots: dict[Sampler, _Slot] = {}
        self._ahead: list[_Fed] = []
        if is_captured and self._device.type == "cuda":
            self._capture()

    def copy_pages(self, copies: Sequence[tuple[int, int]]) -> None:
        self._prompts.copy_pages(copies)

    def run(self, rows: Sequence[Rows]) -> list[Result]:
        results: list[Result] = [None] * len(rows)
        short, long = _divide(rows)
        with torch.inference_mode():
            if short:
                for index, result in zip(short, self._run_short([rows[index] for index in short]), strict=True):
                    results[index] = result
            if long:
                prompts = self._prompts.run([rows[index] for index in long])
                for index, logits in zip(long, prompts, strict=True):
                    results[index] = None if logits is None else logits.float().cpu()  # the host waits: once a prompt
        return results

    def _run_short(self, rows: Sequence[Rows]) -> list[Result]:
        ends = self._find(rows) or self._feed(rows)
        results: list[Result] = [None] * len(rows)
        choosing = [index for index, each in enumerate(rows) if each.n_wanted == 1 and each.sampler is not None]
        for index, each in enumerate(rows):
            if each.n_wanted and index not in choosing:  # drafts: each is judged by the one before, on the host
                results[index] = self._buffers.logits[ends[index] - each.n_wanted : ends[index]].cpu()
        if choosing:
            tokens = self._begin_to_choose([rows[index] for index in choosing], [ends[index] - 1 for index in choosing])
            for index, token in zip(choosing, tokens, strict=True):
                results[index] = Chosen(token)
            if all(len(each.tokens) == 1 for each in rows):
                self._run_ahead([rows[index] for index in choosing], tokens)
        return results

    def _find(self, rows: Sequence[Rows]) -> list[int]:
        """Of rows that were run ahead: one more than where the logits of each lie. Empty, if one was not."""
        fed_at = {id(fed.pages): at for at, fed in enumerate(self._ahead)}
        ends = []
        for each in rows:
            at = fed_at.get(id(each.pages))
            if at is None or each.n_wanted != 1 or not self._ahead[at].is_of(each):
                return []
            ends.append(at + 1)
        return ends

    def _feed(self, rows: Sequence[Rows]) -> list[int]:
        """Run `rows`: one more than where the last logits of each lie."""
        self._ahead = []
        at, ends = 0, []
        for each in rows:
            for offset, token in enumerate(each.tokens):
                self._ids.values[at] = token
                self._place(at, each, each.first + offset)
                at += 1
            ends.append(at)
        self._ids.send(at)
        self._run_places(at)
        return ends

    def _run_ahead(self, rows: Sequence[Rows], tokens: Sequence[Callable[[], int]]) -> None:
        """Feed what is being chosen after `rows`, of one token each: `ids` has it already."""
        for at, each in enumerate(rows):
            self._place(at, each, each.first + 1)
        self._run_places(len(rows))
        self._ahead = [_Fed(each.pages, each.first + 1, token) for each, token in zip(rows, tokens, strict=True)]

    def _place(self, at: int, rows: Rows, position: int) -> None:
        n = position // self._page_size + 1
        values = self._places.values[at]
        values[0] = position
        values[1 : 1 + n] = rows.pages[:n]

    def _run_places(self, n: int) -> None:
        bucket = bucket_of(n)
        self._places.values[n:bucket, 0] = 0
        self._places.values[n:bucket, 1] = self._idle_page
        self._places.send(bucket)
        self._forward(bucket)

    def _begin_to_choose(self, rows: Sequence[Rows], logits_at: Sequence[int]) -> list[Callable[[], int]]:
        """What each token is, to be asked for when it is needed."""
        slots = self._keep_slots([each.sampler for each in rows if each.sampler is not None])
        values, floats = self._params.values, self._params.values.view(np.float32)
        n, bucket = len(rows), bucket_of(len(rows))
        is_masked = False
        for choice, (each, (sampler, slot), at) in enumerate(zip(rows, slots.items(), logits_at, strict=True)):
            sampling = sampler.sampling
            number = 0 if sampler.is_greedy else sampler.number(0)
            values[choice, Field.ROW], values[choice, Field.SLOT] = at, slot.row
            values[choice, Field.IS_MASKED], values[choice, Field.TOP_K] = each.guide is not None, sampling.top_k
            floats[choice, Field.TEMPERATURE], floats[choice, Field.TOP_P] = sampling.temperature, sampling.top_p
            floats[choice, Field.PENALTY] = sampling.repetition_penalty
            values[choice, Field.NUMBER_LOW : Field.NUMBER_HIGH + 1] = np.array([number], np.uint64).view(np.int32)
            if each.guide is not None:  # computed while the network runs
                bits = np.frombuffer(each.guide.masks()[0], np.int32)
                self._masks.values[choice] = bits[: self._masks.values.shape[1]]  # it may say more than was asked
                is_masked = True
        if n < bucket:  # idle choices, in a slot that no reply has
            values[n:bucket] = 0
            values[n:bucket, Field.SLOT] = min(set(range(N_ROWS)) - {slot.row for slot in slots.values()})
            floats[n:bucket, Field.PENALTY] = 1
        self._params.send(bucket)
        if is_masked:
            self._masks.send(n)
        self._choose(bucket)
        tokens = self._reader.begin(n)
        for slot, token in zip(slots.values(), tokens, strict=True):
            slot.token = token
        return tokens

    def _keep_slots(self, samplers: Sequence[Sampler]) -> dict[Sampler, _Slot]:
        """Each one's row of `said`, with what it has noted that the device did not choose itself."""
        before, self._slots = self._slots, {}
        taken = {before[each].row for each in samplers if each in before}
        free = iter(row for row in range(N_ROWS) if row not in taken)
        for sampler in samplers:
            slot = before.get(sampler)
            if slot is None:
                slot = _Slot(next(free))
                self._buffers.said[slot.row].zero_()
            said = list(sampler.said)
            new = said[slot.n_noted :]
            if slot.token is not None:
                new = [token for token in new if token != slot.token()]
            if new:  # forced, or chosen on the host
                self._buffers.said[slot.row].index_fill_(0, torch.tensor(new, device=self._device), 1)
            slot.n_noted = len(said)
            self._slots[sampler] = slot
        return self._slots

    def _capture(self) -> None:
        """Graphs of every bucket, of passes and of choices; without them (it is logged) each kernel is launched."""
        try:
            forward = {n: _graph(self._step.forward, n) for n in reversed(BUCKETS)}
            choose = {n: _graph(self._step.choose, n) for n in reversed(BUCKETS)}
        except RuntimeError as error:
            _log.warning("no CUDA graphs, so replies are written more slowly: %s", error)
            torch.cuda.synchronize()
            return
        self._forward = lambda n: forward[n].replay()
        self._choose = lambda n: choose[n].replay()


def bucket_of(n: int) -> int:
    return next(bucket for bucket in BUCKETS if bucket >= n)


def _graph(work: Callable[[int], None], n: int) -> torch.cuda.CUDAGraph:
    with torch.inference_mode():
        work(n)  # compiles what is compiled, which a graph cannot hold
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may use the device
            work(n)
    return graph


def _divide(rows: Sequence[Rows]) -> tuple[list[int], list[int]]:
    """Indices of what goes through the step's rows, shortest first, and of the rest that has something to feed."""
    order = sorted((at for at in range(len(rows)) if rows[at].tokens), key=lambda at: len(rows[at].tokens))
    n = 0
    for index, at in enumerate(order):
        n += len(rows[at].tokens)
        if n > N_ROWS:
            return order[:index], order[index:]
    return order, []
