"""What a reply may be, token by token, by llguidance.

Masks are computed on a thread of their own while the network runs; tokens
that the grammar forces are appended without asking the network.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import llguidance
import numpy as np
import torch
from torch import Tensor

from npc.errors import StageError
from npc.llm.tokenizer import ChatTokenizer
from npc.turn import Grammar

MAX_COMPILED = 64
"""Grammars that are kept: a few for each character in its scene."""


class GrammarCompiler:
    """Grammars for one tokenizer. The vocabulary's trie is built once, when the first grammar comes."""

    def __init__(self, tokenizer: ChatTokenizer, vocab_size: int, eos_ids: Sequence[int]) -> None:
        self._pool = ThreadPoolExecutor(1, "grammar")
        self.vocab_size = vocab_size
        self._compiled: dict[str, llguidance.LLMatcher] = {}
        # The trie takes a second: built beside the rest of the start.
        self._tokenizer: Future[llguidance.LLTokenizer] = self._pool.submit(
            lambda: llguidance.LLTokenizer(tokenizer.library.to_str(), n_vocab=vocab_size, eos_token=list(eos_ids))
        )

    def compile(self, grammar: Grammar) -> "GrammarGuide":
        """Raises StageError when the grammar has a mistake.

        A grammar that was compiled before costs microseconds, and its copies share the lexer's states, so that their
        masks are computed faster the more replies were written: scenes change seldom in what can be done.
        """
        matcher = self._compiled.pop(grammar.lark, None)
        if matcher is None:
            matcher = llguidance.LLMatcher(
                self._tokenizer.result(), llguidance.LLMatcher.grammar_from_lark(grammar.lark), log_level=0
            )
            if matcher.is_error():
                raise StageError("language model", f"the grammar cannot be compiled: {matcher.get_error()}")
        self._compiled[grammar.lark] = matcher  # the latest stands last
        if len(self._compiled) > MAX_COMPILED:
            del self._compiled[next(iter(self._compiled))]
        return GrammarGuide(matcher.deep_copy(), self._pool, self.vocab_size)

    def close(self) -> None:
        self._pool.shutdown()


class GrammarGuide:
    """Where one reply stands in its grammar."""

    def __init__(self, matcher: llguidance.LLMatcher, pool: ThreadPoolExecutor, vocab_size: int) -> None:
        self._matcher, self._pool, self._vocab_size = matcher, pool, vocab_size
        self._drafts: list[int] = []
        self._masks: Future[list[bytes]] | None = None

    @property
    def is_complete(self) -> bool:
        """Nothing can follow but the end."""
        return self._matcher.is_stopped()

    def n_legal(self, drafts: Sequence[int]) -> int:
        """How many of `drafts`, in order, may come next."""
        return self._matcher.validate_tokens(list(drafts))

    def prepare(self, drafts: Sequence[int]) -> None:
        """Begin to compute the masks of the next place and of those after each of `drafts`, which must be legal."""
        known = self._packed() if self._masks is not None and drafts[: len(self._drafts)] == self._drafts else []
        self._drafts = list(drafts)
        self._masks = self._pool.submit(self._compute, self._drafts, known)

    def masks(self) -> list[bytes]:
        """What `prepare` began: a bit a token, one mask more than there are drafts before the reply is complete."""
        if self._masks is None:
            self.prepare([])
        return self._packed()

    def unpack(self, mask: bytes) -> Tensor:
        """[vocab] bool."""
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), count=self._vocab_size, bitorder="little")
        return torch.from_numpy(bits).bool()

    def accept(self, tokens: Sequence[int]) -> None:
        self._masks = None
        if not self._matcher.consume_tokens(list(tokens)):
            raise StageError(
                "language model", f"the grammar refused a token it had allowed: {self._matcher.get_error()}"
            )

    def forced(self) -> list[int]:
        """The tokens that must come next, whatever the network thinks."""
        return [] if self._matcher.is_stopped() else self._matcher.compute_ff_tokens()

    def _packed(self) -> list[bytes]:
        return self._masks.result() if self._masks else []

    def _compute(self, drafts: list[int], known: list[bytes]) -> list[bytes]:
        masks = known or [self._matcher.compute_bitmask()]
        n_consumed = 0
        for token in drafts:
            if not self._matcher.consume_token(token):
                break
            n_consumed += 1
            if self._matcher.is_stopped():  # only the end can follow, which no mask needs to say
                break
            if n_consumed == len(masks):
                masks.append(self._matcher.compute_bitmask())
        if n_consumed:
            self._matcher.rollback(n_consumed)
        if self._matcher.is_error():
            raise StageError("language model", f"the grammar failed: {self._matcher.get_error()}")
        return masks
