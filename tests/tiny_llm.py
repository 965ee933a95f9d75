"""Tiny random models of each family, and an engine that a test steps by hand."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM

from npc.errors import NpcError
from npc.llm.engine import Engine
from npc.llm.grammar import GrammarCompiler
from npc.llm.model import Transformer
from npc.llm.reply import ReplyText
from npc.llm.runner import StepRunner
from npc.llm.sampler import Sampler
from npc.llm.scheduler import Limits
from npc.llm.sequence import Output, Sequence
from npc.llm.speculate import Payoff, PromptLookup
from npc.llm.tokenizer import ChatTokenizer
from npc.turn import GenerationEnd, Grammar, Sampling, TextPiece

VOCAB = 320
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 256,
    "eos_token_id": 258,
    "initializer_range": 0.2,
}


def write_model(folder: Path, family: str, seed: int = 7, **config: Any) -> Path:  # keys of the family's config
    """A random model as a Hugging Face folder: bytes, a few words and three special tokens are its vocabulary."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**SHAPE, **config})).float()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # made as zeros, which would hide a mistake
            torch.nn.init.normal_(parameter, std=0.2)
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
    model.save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    library = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens(["<|bos|>", "<|im_start|>", "<|im_end|>"])
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@dataclass
class Request:
    """A sequence in a hand-stepped engine, and what it has emitted."""

    sequence: Sequence
    outputs: list[Output] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(each.text for each in self.outputs if isinstance(each, TextPiece))

    @property
    def end(self) -> GenerationEnd | None:
        return next((each for each in self.outputs if isinstance(each, GenerationEnd)), None)

    @property
    def error(self) -> NpcError | None:
        return next((each for each in self.outputs if isinstance(each, NpcError)), None)

    @property
    def tokens(self) -> list[int]:
        return self.sequence.tokens[self.sequence.n_prompt :]


class Bench:
    """An engine on the tiny model, stepped by the test."""

    def __init__(
        self,
        model: Transformer,
        tokenizer: ChatTokenizer,
        grammars: GrammarCompiler,
        n_pages: int = 200,
        limits: Limits | None = None,
        eos_ids: tuple[int, ...] = (258,),
        draft_model: Transformer | None = None,
        cache_type: str = "bf16",
        clock: Callable[[], float] = lambda: 1.0,
        runner: StepRunner | None = None,
    ) -> None:
        self.engine = Engine(model, eos_ids, n_pages, limits, clock, draft_model, cache_type, runner)
        self._has_drafter = draft_model is not None
        self._tokenizer, self._grammars = tokenizer, grammars

    def ask(
        self,
        prompt: str | list[int],
        sampling: Sampling | None = None,
        grammar: str | None = None,
        speculates: bool = False,
    ) -> Request:
        tokens = self._tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        sampling = sampling or Sampling(temperature=0, repetition_penalty=1.0, max_tokens=20)
        outputs: list[Output] = []
        sequence = Sequence(
            tokens,
            len(tokens),
            sampling.max_tokens,
            emit=outputs.append,
            sampler=Sampler(sampling),
            text=ReplyText(self._tokenizer.stream(), sampling.stop),
            guide=self._grammars.compile(Grammar(grammar, "")) if grammar else None,
            lookup=PromptLookup() if speculates else None,
            payoff=Payoff() if speculates and self._has_drafter else None,
        )
        self.engine.add(sequence)
        return Request(sequence, outputs)

    def finish(self) -> None:
        for _ in range(2000):
            if self.engine.is_idle:
                return
            self.engine.step()
        raise AssertionError("the engine never came to rest")
