"""How much sooner replies are written when they are drafted: the prompts of `npc eval run`, plain and drafted in turn.

Prompts are those that a session would make, knowledge and grammar and all. A
reply is written in every way with the same seed, right after one another; how
many are alike in every way is counted: in bfloat16, sums in another order may
part near ties.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from npc.character import Character
from npc.config import LanguageModelSettings
from npc.errors import ConfigError
from npc.evaluate.cases import Case
from npc.evaluate.respond import Respondent
from npc.knowledge import Embedder, VectorStore
from npc.llm.engine import PAGE_SIZE
from npc.llm.grammar import GrammarCompiler
from npc.llm.reply import ReplyText
from npc.llm.runner import Rows
from npc.llm.sampler import Sampler
from npc.llm.sequence import Output
from npc.llm.sequence import Sequence as Reply
from npc.llm.speculate import Drafts, PromptLookup
from npc.llm.start import Start
from npc.turn import ChatMessage, GenerationEnd, Grammar, Sampling, TextPiece

ROWS = (1, 2, 3, 4, 6, 8)
N_CONTEXT = 400

Report = dict[str, Any]  # JSON


@dataclass(frozen=True, slots=True)
class Asked:
    """What a session would ask of the model."""

    messages: Sequence[ChatMessage]
    sampling: Sampling
    grammar: Grammar | None


class _Listener:
    """A `LanguageModel` that writes nothing, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def prefill(self, messages: Sequence[ChatMessage]) -> int:
        return 0

    async def generate(
        self, messages: Sequence[ChatMessage], sampling: Sampling, grammar: Grammar | None = None
    ) -> AsyncGenerator[TextPiece | GenerationEnd, None]:
        self.asked.append(Asked(messages, sampling, grammar))
        yield GenerationEnd("stop", 0, 0, 0, 0.0, 0.0)


def gather(
    cases: Sequence[Case], characters: Collection[Character], embedder: Embedder, store: VectorStore
) -> list[Asked]:
    """What `cases` ask, as a session with these characters would: with the character's own temperature."""

    async def listen() -> list[Asked]:
        listener = _Listener()
        respondent = await Respondent.prepare(listener, characters, embedder, store, nominates=False)
        for case in cases:
            await respondent.respond(case)
        return listener.asked

    own = {character.id: character.sampling for character in characters}
    return [
        replace(asked, sampling=replace(own[case.character], seed=number))
        for number, (asked, case) in enumerate(zip(asyncio.run(listen()), cases, strict=True))
    ]


class Drafting:
    """One engine on a model, which writes replies in several ways."""

    def __init__(self, model_folder: Path, derived: Path, settings: LanguageModelSettings) -> None:
        """Raises ConfigError when the model's folder brings no phrases."""
        start = Start(model_folder, derived, settings)
        recalls = start.recalls()
        if recalls is None:
            raise ConfigError(f"{model_folder}: no phrases in it to draft from; `npc train run` makes them")
        self._tokenizer = start.tokenizer
        self._grammars = GrammarCompiler(self._tokenizer, start.arch.vocab_size, start.arch.eos_ids)
        self._engine = start.engine()
        self._device = start.device
        self._n_alike = 0
        nothing: Callable[[int], Drafts | None] = lambda n_prompt: None  # noqa: E731  (a row of the table below)
        self._ways: Mapping[str, Callable[[int], Drafts | None]] = {
            "plain": nothing,
            "lookup": lambda n_prompt: PromptLookup(),
            "phrases": recalls,
        }

    def close(self) -> None:
        self._grammars.close()

    def compare(self, asked: Sequence[Asked], n_rounds: int) -> Report:
        """Tokens/s written in each way, after the first token of each reply; medians of rounds, and ratios to plain."""
        rates: dict[str, list[float]] = {way: [] for way in self._ways}
        self._n_alike = 0
        ends: dict[str, list[GenerationEnd]] = {}
        for number in range(n_rounds + 1):
            ends = {way: [] for way in self._ways}
            for one in asked:
                self._compare_one(one, ends, first=number % len(self._ways))
            if number == 0:  # a grammar's first masks take longer than its later ones: not measured
                continue
            for way, own in ends.items():
                written = sum(max(0, end.n_generated_tokens - 1) for end in own)
                rates[way].append(1000 * written / sum(end.decode_ms for end in own))
        ratios = {
            way: [mine / plain for mine, plain in zip(own, rates["plain"], strict=True)] for way, own in rates.items()
        }
        return {
            "n_replies": len(asked),
            "alike": round(self._n_alike / ((n_rounds + 1) * len(asked)), 3),
            "tokens_a_reply": round(statistics.mean(end.n_generated_tokens for end in ends["plain"]), 1),
            **{
                way: {
                    "tokens_per_s": round(statistics.median(own), 1),
                    "ratio": round(statistics.median(ratios[way]), 2),
                    "tokens_a_pass": round(
                        sum(end.n_generated_tokens for end in ends[way]) / sum(end.n_steps for end in ends[way]), 2
                    ),
                    "accepted": round(
                        sum(end.n_accepted_tokens for end in ends[way])
                        / max(1, sum(end.n_drafted_tokens for end in ends[way])),
                        2,
                    ),
                }
                for way, own in rates.items()
            },
        }

    def row_costs(self, n_rounds: int) -> dict[int, float]:
        """Time of a step of so many rows over that of one, after `N_CONTEXT` tokens. To be asked last: it writes over
        the cache."""
        pages = list(range(-(-(N_CONTEXT + max(ROWS)) // PAGE_SIZE)))
        runner = self._engine.runner
        tokens = [100 + n % 100 for n in range(N_CONTEXT)]
        runner.run([Rows(tokens, 0, pages, 0)])
        times: dict[int, list[float]] = {n: [] for n in ROWS}
        for number in range(8 * n_rounds + 1):
            for n, own in times.items():
                self._wait()
                began = time.perf_counter()
                runner.run([Rows(tokens[:n], N_CONTEXT, pages, n)])
                self._wait()
                if number:  # the first of each kind may have to be made ready
                    own.append(time.perf_counter() - began)
        one = statistics.median(times[1])
        return {n: round(statistics.median(own) / one, 2) for n, own in times.items()}

    def _wait(self) -> None:
        """A CUDA device works on its own time."""
        if self._device == "cuda":
            torch.cuda.synchronize()

    def _compare_one(self, asked: Asked, ends: dict[str, list[GenerationEnd]], first: int) -> None:
        prompt = self._tokenizer.prompt(asked.messages)
        self._write(prompt, replace(asked, sampling=Sampling(max_tokens=0)), None)  # read once, for all ways
        said: dict[str, list[int]] = {}
        ways = list(self._ways.items())
        for way, drafts in [*ways[first:], *ways[:first]]:
            said[way], end = self._write(prompt, asked, drafts(len(prompt)))
            ends[way].append(end)
        self._n_alike += all(tokens == said["plain"] for tokens in said.values())

    def _write(self, prompt: Sequence[int], asked: Asked, drafts: Drafts | None) -> tuple[list[int], GenerationEnd]:
        outputs: list[Output] = []
        reply = Reply(
            list(prompt),
            len(prompt),
            asked.sampling.max_tokens,
            emit=outputs.append,
            sampler=Sampler(asked.sampling),
            text=ReplyText(self._tokenizer.stream(), asked.sampling.stop),
            guide=self._grammars.compile(asked.grammar) if asked.grammar and asked.sampling.max_tokens else None,
            lookup=drafts,
        )
        self._engine.add(reply)
        while not self._engine.is_idle:
            self._engine.step()
        end = outputs[-1]
        if not isinstance(end, GenerationEnd):
            raise ConfigError(f"the engine gave no reply to measure: {end}")
        return reply.tokens[reply.n_prompt :], end
