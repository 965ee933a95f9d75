"""The language model engine beside llama.cpp and transformers: same model, same prompts, greedy, taking turns.

Everything is measured a few times in alternation and given as a median, since
a shared machine changes its mind from second to second; the ratios hold better
than the figures.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from npc.config import LanguageModelSettings
from npc.errors import ConfigError
from npc.profile.generate import Generate
from npc.profile.llama_cpp import LlamaCpp

N_PROMPT, N_CONTEXT, N_NEW, N_WRITTEN, N_SESSIONS = 30, 600, 24, 64, 8
KNOWLEDGE = (
    "The old mill stands by the river, half a mile north of the well, and nobody has ground corn there since the "
    "flood took the miller's bridge in the spring of the long rain. The forge keeps its fire from dawn until the "
    "evening bell, and the smith sells nails by the hundred, ploughshares, hinges, and a sword to those who ask twice. "
)

Report = dict[str, Any]  # JSON: names of measures, medians, ratios


class Reader(Protocol):
    """A way to run the model for measuring."""

    def write(self, tokens: Sequence[int], n: int) -> tuple[float, float]:
        """Read `tokens`, nothing of them cached, and write `n`: (prompt tokens/s, written tokens/s)."""
        ...

    def first_token_ms(self, cached: Sequence[int], new: Sequence[int]) -> float:
        """Time to the first token of `cached` + `new` when `cached` was read before."""
        ...


class Ours:
    def __init__(self, model_folder: Path, derived: Path, settings: LanguageModelSettings) -> None:
        from npc.llm import weights
        from npc.llm.engine import Engine
        from npc.llm.tokenizer import ChatTokenizer

        weights.load(model_folder, derived, settings.weights, settings.context_tokens)  # quantise, if need be
        began = time.monotonic()
        self._tokenizer = ChatTokenizer(model_folder)
        model = weights.load(model_folder, derived, settings.weights, settings.context_tokens)
        model.warm_up()
        # No token ends a reply here: every reply has the length that was asked for.
        self.engine = Engine(model, (), n_pages=900)
        self.ready_ms = 1000 * (time.monotonic() - began)
        self._vocab_size = model.arch.vocab_size
        self._n_prompts = 0

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)

    def prompt(self, n: int) -> list[int]:
        """`n` tokens that begin like no other prompt, so that nothing of them is cached."""
        self._n_prompts += 1
        tokens = self.encode(f"{time.time_ns()} {self._n_prompts}. " + KNOWLEDGE * (1 + n // 50))
        return tokens[:n]

    def write(self, tokens: Sequence[int], n: int) -> tuple[float, float]:
        ends = self.run([tokens], n)
        return len(tokens) / ends[0].prefill_ms * 1000, (n - 1) / ends[0].decode_ms * 1000

    def first_token_ms(self, cached: Sequence[int], new: Sequence[int]) -> float:
        self.run([cached], 0)
        return float(self.run([[*cached, *new]], 1)[0].prefill_ms)

    def together(self, prompts: Sequence[Sequence[int]], n: int) -> float:
        """Tokens/s in all that several sessions write at once, their prompts read before."""
        self.run(prompts, 0)
        began = time.monotonic()
        self.run(prompts, n)
        return len(prompts) * n / (time.monotonic() - began)

    def quote(self, tokens: Sequence[int], n: int, speculates: bool) -> tuple[float, float]:
        """Tokens/s written, and tokens a pass."""
        end = self.run([tokens], n, speculates)[0]
        return (n - 1) / end.decode_ms * 1000, n / end.n_steps

    def run(self, prompts: Sequence[Sequence[int]], n: int, speculates: bool = False) -> list[Any]:
        """GenerationEnds of replies of `n` tokens, all made at once."""
        from npc.llm.reply import ReplyText
        from npc.llm.sampler import Sampler
        from npc.llm.sequence import Output, Sequence
        from npc.llm.speculate import PromptLookup
        from npc.turn import GenerationEnd, Sampling

        sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=n)
        outputs: list[list[Output]] = [[] for _ in prompts]
        for prompt, own in zip(prompts, outputs, strict=True):
            sequence = Sequence(
                list(prompt),
                len(prompt),
                n,
                emit=own.append,
                sampler=Sampler(sampling),
                text=ReplyText(self._tokenizer.stream(), ()),
                lookup=PromptLookup() if speculates else None,
            )
            self.engine.add(sequence)
        while not self.engine.is_idle:
            self.engine.step()
        ends = [own[-1] for own in outputs]
        failed = [end for end in ends if not isinstance(end, GenerationEnd)]
        if failed:
            raise ConfigError(f"the engine gave no reply to measure: {failed[0]}")
        return ends


def run_llm_profile(
    model_folder: Path,
    derived: Path,
    gguf: Path | None,
    settings: LanguageModelSettings,
    n_rounds: int = 5,
    with_transformers: bool = True,
) -> Report:
    """Medians of each engine and ratios (above 1: ours is better). Without `gguf`, llama.cpp is left out.

    Keys: `decode`, `decode_in_context`, `read` and `together` in tokens/s, `first_token` in ms,
    `speculation` on a reply that quotes, `ready_ms`, `resident_mb`.
    """
    import torch  # its own hundreds of megabytes are the process's, not the engine's

    torch.set_num_threads(settings.n_threads)
    before_mb = resident_mb()
    ours = Ours(model_folder, derived, settings)
    ours.write(ours.prompt(40), 4)
    character = ours.prompt(N_CONTEXT)
    ours.run([character], 0)
    added_mb = resident_mb() - before_mb
    values = Values()
    with contextlib.ExitStack() as stack:
        peers: dict[str, Reader] = {"ours": ours}
        if gguf is not None:
            peers["llama.cpp"] = stack.enter_context(LlamaCpp(gguf, settings.n_threads))
        slow = stack.enter_context(Generate(model_folder, settings.n_threads)) if with_transformers else None
        for _ in range(n_rounds):  # whose turn it is not, sleeps
            _round(ours, peers, slow, character, values)
    return _report(values.medians()) | {
        "settings": {"weights": settings.weights, "n_threads": settings.n_threads, "n_rounds": n_rounds},
        "ready_ms": round(ours.ready_ms),
        "resident_mb": round(added_mb),
    }


class Values:
    """What was measured, by measure and by engine."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = {}

    def note(self, measure: str, who: str, value: float) -> None:
        self._values.setdefault(measure, {}).setdefault(who, []).append(value)

    def medians(self) -> dict[str, dict[str, float]]:
        return {
            measure: {who: statistics.median(each) for who, each in by_who.items()}
            for measure, by_who in self._values.items()
        }


def _round(
    ours: Ours, peers: dict[str, Reader], slow: Generate | None, character: Sequence[int], values: Values
) -> None:
    short, long, new = ours.prompt(N_PROMPT), ours.prompt(N_CONTEXT), ours.prompt(N_NEW)
    quoting = ours.encode(f"{time.time_ns()}\n{KNOWLEDGE}\n{KNOWLEDGE}\n") + ours.encode(KNOWLEDGE)[:12]
    for who, peer in peers.items():
        values.note("decode", who, peer.write(short, N_WRITTEN)[1])
        read, decode = peer.write(long, N_WRITTEN)
        values.note("read", who, read)
        values.note("decode_in_context", who, decode)
        values.note("first_token", who, peer.first_token_ms(character, new))
        values.note("quoting", who, peer.write(quoting, N_WRITTEN)[1])
    if slow is not None:
        values.note("decode", "transformers", slow.write(short, N_WRITTEN // 2)[1])
    values.note("one", "ours", ours.together([ours.prompt(N_PROMPT)], N_WRITTEN))
    values.note("together", "ours", ours.together([ours.prompt(N_PROMPT) for _ in range(N_SESSIONS)], N_WRITTEN))
    rate, n_a_pass = ours.quote(quoting, N_WRITTEN, speculates=True)
    values.note("quoting_drafted", "ours", rate)
    values.note("tokens_a_pass", "ours", n_a_pass)


def _report(medians: dict[str, dict[str, float]]) -> Report:
    def beside(measure: str, ratio: Callable[[float, float], float]) -> Report:
        row: Report = {who: round(value, 1) for who, value in medians[measure].items()}
        for who, value in medians[measure].items():
            if who != "ours":
                row[f"ratio_to_{who}"] = round(ratio(medians[measure]["ours"], value), 2)
        return row

    one, together = medians["one"]["ours"], medians["together"]["ours"]
    plain, drafted = medians["quoting"]["ours"], medians["quoting_drafted"]["ours"]
    speculation = {
        "plain": round(plain, 1),
        "drafted": round(drafted, 1),
        "ratio": round(drafted / plain, 2),
        "tokens_a_pass": round(medians["tokens_a_pass"]["ours"], 2),
    }
    if "llama.cpp" in medians["quoting"]:
        speculation["ratio_to_llama.cpp"] = round(drafted / medians["quoting"]["llama.cpp"], 2)
    return {
        "decode": beside("decode", lambda ours, theirs: ours / theirs),
        "decode_in_context": beside("decode_in_context", lambda ours, theirs: ours / theirs),
        "read": beside("read", lambda ours, theirs: ours / theirs),
        "first_token": beside("first_token", lambda ours, theirs: theirs / ours),
        "together": {"one": round(one, 1), "eight": round(together, 1), "ratio": round(together / one, 2)},
        "speculation": speculation,
    }


def resident_mb() -> float:
    """Resident memory of this process; 0 where the system does not say (outside Linux)."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return 0.0
    import resource

    return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
