"""The language model engine: schedule, run, settle — step after step, all conversations in one batch.

`Engine` is plain and has no thread of its own, so that tests can step it.
`EmbeddedLanguageModel` gives it one, and speaks the `LanguageModel` protocol.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable
from collections.abc import Sequence as SequenceOf
from concurrent.futures import Future
from pathlib import Path

import torch

from npc.config import LanguageModelSettings
from npc.errors import ModelError, OverloadError, StageError
from npc.llm import weights
from npc.llm.architecture import Architecture
from npc.llm.cache import CACHES
from npc.llm.draft import Drafter
from npc.llm.grammar import GrammarCompiler
from npc.llm.model import Transformer
from npc.llm.pages import Pages
from npc.llm.reply import ReplyText
from npc.llm.runner import Runner
from npc.llm.sampler import Sampler
from npc.llm.scheduler import Limits, Scheduler, Work
from npc.llm.sequence import Output, Sequence
from npc.llm.speculate import Payoff, PromptLookup
from npc.llm.tokenizer import ChatTokenizer
from npc.turn import ChatMessage, GenerationEnd, Grammar, Sampling, TextPiece

PAGE_SIZE = 16
_STAGE = "language model"
_log = logging.getLogger(__name__)


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
    ) -> None:
        self._eos_ids = frozenset(eos_ids)
        self._clock = clock
        self.pages = Pages(n_pages, PAGE_SIZE)
        self._drafter = Drafter(draft_model, n_pages, PAGE_SIZE, cache_type, clock) if draft_model else None
        self._scheduler = Scheduler(self.pages, limits or Limits())
        self._runner = Runner(model, n_pages, PAGE_SIZE, cache_type)

    @property
    def is_idle(self) -> bool:
        return self._scheduler.is_idle

    def add(self, sequence: Sequence) -> None:
        """Raises OverloadError when too many wait, StageError when the cache could never hold the sequence."""
        if self._scheduler.is_full:
            raise OverloadError(f"{_STAGE}: too many replies are waiting")
        n_pages = self._scheduler.n_pages(sequence)
        if n_pages > self.pages.n_pages:
            raise StageError(
                _STAGE, f"{n_pages * PAGE_SIZE} tokens do not fit the cache of {self.pages.n_pages * PAGE_SIZE}"
            )
        sequence.arrived_s = self._clock()
        self._scheduler.add(sequence)

    def step(self) -> None:
        """One pass of the network for all that run; what comes of it is emitted."""
        self._scheduler.drop_cancelled()
        work = self._scheduler.plan()
        copies, self._scheduler.copies = self._scheduler.copies, []
        self._runner.copy_pages(copies)
        if self._drafter is not None:
            self._drafter.copy_pages(copies)
            self._drafter.draft(work, self._scheduler.n_spare(work))
        for each in work:
            if each.wants_logits and each.sequence.guide is not None:
                each.sequence.guide.prepare(each.drafts)
        began_s = self._clock()
        results = self._runner.run([each.rows for each in work])
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

    def _settle(self, work: Work, logits: torch.Tensor | None) -> None:
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

    def _write(self, work: Work, logits: torch.Tensor) -> str | None:
        """Choose from `logits` [1 + n_drafts, vocab] while the drafts are what is chosen; why the reply ends, if so."""
        sequence, drafts = work.sequence, work.drafts
        if sequence.first_token_s == 0:
            sequence.first_token_s = self._clock()
            self._scheduler.keep_read(sequence)
        guide, row = sequence.guide, 0
        masks = guide.masks() if guide else []  # taken now: once a token is accepted, the guide stands elsewhere
        while True:
            token = sequence.sampler.choose(logits[row], guide.unpack(masks[row]) if guide else None)
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


class EmbeddedLanguageModel:
    """The `LanguageModel` that runs in this process. Made by `load`; ended by `close`."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        tokenizer: ChatTokenizer,
        grammars: GrammarCompiler,
        settings: LanguageModelSettings,
    ) -> None:
        self._tokenizer, self._grammars, self._settings = tokenizer, grammars, settings
        self._inbox: queue.SimpleQueue[Sequence | None] = queue.SimpleQueue()
        made: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(make_engine, made), name="language model", daemon=True)
        self._thread.start()
        made.result()

    @classmethod
    def load(
        cls, model_folder: Path, derived: Path, settings: LanguageModelSettings, draft_folder: Path | None = None
    ) -> "EmbeddedLanguageModel":
        """Folders as Hugging Face lays them out: the model's, and that of `settings.draft_model` where there is one.

        `derived` is a folder for the quantised weights. Raises ModelError.
        """
        arch = Architecture.read(model_folder)
        tokenizer = ChatTokenizer(model_folder)
        if draft_folder is not None:
            _check_vocabulary(tokenizer, arch, draft_folder)
        grammars = GrammarCompiler(tokenizer, arch.vocab_size, arch.eos_ids)

        def make_engine() -> Engine:
            folders = [model_folder] if draft_folder is None else [model_folder, draft_folder]
            models = [weights.load(each, derived, settings.weights, settings.context_tokens) for each in folders]
            for model in models:
                model.warm_up()
            token_bytes = CACHES[settings.cache_type].token_bytes
            page_bytes = PAGE_SIZE * sum(token_bytes(model.arch, model.dtype) for model in models)
            return Engine(
                models[0],
                arch.eos_ids,
                n_pages=max(1, settings.cache_mb * 2**20 // page_bytes),
                draft_model=models[1] if draft_folder else None,
                cache_type=settings.cache_type,
            )

        return cls(make_engine, tokenizer, grammars, settings)

    async def prefill(self, messages: SequenceOf[ChatMessage]) -> int:
        tokens = self._tokenizer.stable_prompt(messages)
        if not tokens:
            return 0
        self._check_length(tokens)
        outputs: asyncio.Queue[Output] = asyncio.Queue()
        sequence = self._sequence(tokens, Sampling(max_tokens=0), outputs)
        async with contextlib.aclosing(self._follow(sequence, outputs)) as follow:
            async for output in follow:
                if isinstance(output, GenerationEnd):
                    return output.n_prompt_tokens - output.n_cached_tokens
        return 0

    async def generate(
        self, messages: SequenceOf[ChatMessage], sampling: Sampling, grammar: Grammar | None = None
    ) -> AsyncGenerator[TextPiece | GenerationEnd, None]:
        tokens = self._tokenizer.prompt(messages)
        self._check_length(tokens)
        outputs: asyncio.Queue[Output] = asyncio.Queue()
        sequence = self._sequence(tokens, sampling, outputs)
        if grammar is not None:  # takes milliseconds to compile: not on the event loop
            sequence.guide = await asyncio.to_thread(self._grammars.compile, grammar)
        async with contextlib.aclosing(self._follow(sequence, outputs)) as follow:
            async for output in follow:
                yield output

    def close(self) -> None:
        """End the thread; replies under way fail."""
        self._inbox.put(None)
        self._thread.join(timeout=10)
        self._grammars.close()

    async def _follow(
        self, sequence: Sequence, outputs: "asyncio.Queue[Output]"
    ) -> AsyncGenerator[TextPiece | GenerationEnd, None]:
        if not self._thread.is_alive():
            raise StageError(_STAGE, "it is closed")
        self._inbox.put(sequence)
        try:
            while True:
                output = await outputs.get()
                if isinstance(output, Exception):
                    raise output
                yield output
                if isinstance(output, GenerationEnd):
                    return
        finally:
            sequence.is_cancelled = True  # seen before the next step; means nothing once the sequence has ended

    def _sequence(self, tokens: list[int], sampling: Sampling, outputs: "asyncio.Queue[Output]") -> Sequence:
        return Sequence(
            tokens,
            len(tokens),
            max_tokens=min(sampling.max_tokens, self._settings.context_tokens - len(tokens)),
            emit=_deliver_to(outputs),
            sampler=Sampler(sampling),
            text=ReplyText(self._tokenizer.stream(), sampling.stop),
            lookup=PromptLookup() if self._settings.speculates else None,
            payoff=Payoff() if self._settings.speculates and self._settings.draft_model else None,
        )

    def _check_length(self, tokens: SequenceOf[int]) -> None:
        if len(tokens) >= self._settings.context_tokens:
            raise StageError(
                _STAGE,
                f"the prompt has {len(tokens)} tokens; "
                f"llm.context_tokens allows {self._settings.context_tokens}, the reply included",
            )

    def _run(self, make_engine: Callable[[], Engine], made: "Future[None]") -> None:
        # Holds for the calling thread. Loading happens here too: every thread that has computed with torch keeps
        # helpers of its own, and OpenMP stops spinning, at half the speed, once there are more than cores.
        torch.set_num_threads(self._settings.n_threads)
        try:
            self._engine = make_engine()
        except BaseException as error:  # handed to the constructor, whatever it is
            made.set_exception(error)
            return
        made.set_result(None)
        while self._receive():
            try:
                self._engine.step()
            except Exception as error:  # a boundary: whatever a kernel raises ends the replies, not the engine
                _log.exception("a step failed")
                self._engine.fail(StageError(_STAGE, f"{type(error).__name__}: {error}"))
        self._engine.fail(StageError(_STAGE, "it is closed"))

    def _receive(self) -> bool:
        """Take in what has arrived, waiting when there is nothing else to do; False when it is time to end."""
        while True:
            try:
                sequence = self._inbox.get(block=self._engine.is_idle)
            except queue.Empty:
                return True
            if sequence is None:
                return False
            try:
                self._engine.add(sequence)
            except (OverloadError, StageError) as error:
                sequence.emit(error)


def _deliver_to(outputs: "asyncio.Queue[Output]") -> Callable[[Output], None]:
    loop = asyncio.get_running_loop()

    def deliver(output: Output) -> None:
        # A loop that closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(outputs.put_nowait, output)

    return deliver


def _check_vocabulary(tokenizer: ChatTokenizer, arch: Architecture, draft_folder: Path) -> None:
    """A draft is token ids: both models must mean the same by them."""
    draft = Architecture.read(draft_folder)
    if draft.vocab_size != arch.vocab_size:
        raise ModelError(
            f"{draft_folder}: llm.draft_model has {draft.vocab_size} tokens and llm.model {arch.vocab_size}; "
            f"they must share one tokenizer"
        )
    if ChatTokenizer(draft_folder).library.get_vocab() != tokenizer.library.get_vocab():
        raise ModelError(f"{draft_folder}: llm.draft_model has another tokenizer than llm.model; they must share one")


def _n_common(a: SequenceOf[int], b: SequenceOf[int]) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n
