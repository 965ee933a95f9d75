"""The engine as the `LanguageModel` of this process: on a thread of its own, spoken to from the event loop."""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Callable
from collections.abc import Sequence as SequenceOf
from concurrent.futures import Future
from pathlib import Path

import torch

from npc.config import LanguageModelSettings
from npc.errors import OverloadError, StageError
from npc.llm.engine import STAGE, Engine
from npc.llm.grammar import GrammarCompiler
from npc.llm.phrases import Recall
from npc.llm.reply import ReplyText
from npc.llm.sampler import Sampler
from npc.llm.sequence import Output, Sequence
from npc.llm.speculate import Drafts, Payoff, PromptLookup
from npc.llm.start import Start
from npc.llm.tokenizer import ChatTokenizer
from npc.turn import ChatMessage, GenerationEnd, Grammar, Sampling, TextPiece

_log = logging.getLogger(__name__)


class EmbeddedLanguageModel:
    """The `LanguageModel` that runs in this process. Made by `load`; ended by `close`."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        tokenizer: ChatTokenizer,
        grammars: GrammarCompiler,
        settings: LanguageModelSettings,
        recalls: Callable[[int], Recall] | None,
        speculates: bool,
    ) -> None:
        """`recalls` makes what drafts a reply to a prompt of so many tokens; without, it is look-up alone."""
        self._tokenizer, self._grammars, self._settings, self._recalls = tokenizer, grammars, settings, recalls
        self._speculates = speculates
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

        `derived` is a folder for the quantised weights. Raises ConfigError, ModelError.
        """
        start = Start(model_folder, derived, settings, draft_folder)
        grammars = GrammarCompiler(start.tokenizer, start.arch.vocab_size, start.arch.eos_ids)
        return cls(start.engine, start.tokenizer, grammars, settings, start.recalls(), start.speculates)

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
            raise StageError(STAGE, "it is closed")
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
            lookup=self._drafts(len(tokens)) if self._speculates else None,
            payoff=Payoff() if self._speculates and self._settings.draft_model else None,
        )

    def _drafts(self, n_prompt: int) -> Drafts:
        return PromptLookup() if self._recalls is None else self._recalls(n_prompt)

    def _check_length(self, tokens: SequenceOf[int]) -> None:
        if len(tokens) >= self._settings.context_tokens:
            raise StageError(
                STAGE,
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
                self._engine.fail(StageError(STAGE, f"{type(error).__name__}: {error}"))
        self._engine.fail(StageError(STAGE, "it is closed"))

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
