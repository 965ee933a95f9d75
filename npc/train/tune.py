"""The training loop: compact, resumable, its curves kept as JSON lines.

Everything that a run needs is in its folder: the recipe, the last checkpoint,
`curves.jsonl`. Started again, it goes on where it was.
"""

import itertools
import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

from npc.errors import ModelError
from npc.train.batches import Batch, Tokens, batches, collate
from npc.train.recipe import Recipe
from npc.train.rounding import TunedLinear, add_low_rank, add_rounding, take_over

_log = logging.getLogger(__name__)
CHECKPOINT, CURVES = "checkpoint.pt", "curves.jsonl"
NOTED_EVERY = 20
"""Steps between the writing of losses: to read one waits for the device."""

Clock = Callable[[], float]
"""Monotonic seconds."""


class Rounds(Protocol):
    """What is learnt from, one after the other; some may still be in the making."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sequence[Tokens]: ...


def load_base(folder: Path, device: str) -> nn.Module:
    """The base as transformers loads it, in float32: bf16 would lose small updates. Raises ModelError."""
    from transformers import AutoModelForCausalLM

    try:
        model: nn.Module = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: cannot be loaded as a causal language model: {error}") from error
    return model.to(device)


class Tuning:
    """One run. `teacher`, where there is one, is whose replies are learnt: the loss is the divergence from it."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        rounds: Rounds,
        dev: Sequence[Tokens],
        folder: Path,
        pad_id: int = 0,
        teacher: nn.Module | None = None,
        clock: Clock = time.monotonic,
        adapter: Path | None = None,
    ) -> None:
        """`adapter`: low-rank tuning goes on from it. Raises ModelError where it does not fit the recipe."""
        self.model, self.recipe = model, recipe
        self._rounds, self._dev = rounds, dev
        self._folder, self._pad_id = folder, pad_id
        self._teacher = teacher
        self._clock = clock
        self.device = str(next(model.parameters()).device)
        if recipe.method == "low-rank":
            add_low_rank(model, recipe.rank, recipe.alpha)
            if adapter is not None:
                take_over(model, adapter)
        self._rounded: list[TunedLinear] = add_rounding(model, recipe.weights)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        is_cuda = self.device.startswith("cuda")
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            betas=(0.9, 0.98),
            fused=is_cuda,
        )
        if is_cuda and recipe.compiles:
            compile_layers(model)
        self.step = 0
        self._used_s = 0.0
        self._unwritten: list[tuple[dict[str, Any], Tensor]] = []  # JSON, and its loss
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self, most_steps: int | None = None) -> None:
        """Train to the end, or `most_steps` further; a checkpoint is written whenever it stops."""
        began = self._clock()
        n_begun, used_before = self.step, self._used_s
        for learnt, chosen in itertools.islice(self._steps(), self.step, None):
            elapsed = used_before + self._clock() - began
            progress = max(learnt, elapsed / (60 * self.recipe.minutes))
            if progress >= 1 or (most_steps is not None and self.step - n_begun >= most_steps):
                break
            is_rounded = progress >= self.recipe.quantised_from
            is_rounded &= Random(f"{self.recipe.seed}/{self.step}").random() < self.recipe.quantised_share
            for linear in self._rounded:
                linear.is_rounded = is_rounded
            rate = self.recipe.learning_rate * _schedule(progress, self.recipe.warmup)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            loss = self._learn(chosen)
            self.step += 1
            self._used_s = used_before + self._clock() - began
            self._unwritten.append(({"step": self.step, "seconds": round(self._used_s, 1), "rate": rate}, loss))
            if self.step % NOTED_EVERY == 0:
                self._write_losses()
            if self.step % self.recipe.eval_every == 0:
                self._note({"step": self.step, "dev": self.evaluate()})
            if self.step % self.recipe.save_every == 0:
                self._save()
        for linear in self._rounded:
            linear.is_rounded = True
        self._note({"step": self.step, "seconds": round(self._used_s, 1), "dev": self.evaluate()})
        self._save()

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:  # JSON: numbers, and numbers by kind
        """Of the dev examples' replies: mean loss a token, and the share of tokens that greedy decoding would write.

        `calls`: of the last replies, by kind, in how many greedy decoding would write the first call, or none, as
        it should, if the words before it were as authored; percent.
        """
        if not self._dev:
            return {}
        self.model.eval()
        loss = right = n = 0.0
        calls: defaultdict[str, list[bool]] = defaultdict(list)
        for chosen in batches(self._dev, self.recipe.batch_tokens, 0):
            examples = [self._dev[i] for i in chosen]
            batch = collate(examples, self._pad_id).to(self.device)
            logits = self._replies(self.model, batch)
            loss += float(F.cross_entropy(logits.float(), batch.labels, reduction="sum"))
            is_right = logits.argmax(-1) == batch.labels
            right += float(is_right.sum())
            n += batch.labels.numel()
            for each, verdicts in zip(
                examples, torch.split(is_right.cpu(), [each.n_learnt for each in examples]), strict=True
            ):
                own = verdicts[-(len(each.ids) - each.n_prompt) :]
                calls[each.kind].append(bool(own[each.call[0] : each.call[1]].all()) if each.call else True)
        self.model.train()
        by_kind = {kind: round(100 * sum(rights) / len(rights), 1) for kind, rights in sorted(calls.items()) if kind}
        return {"loss": loss / n, "right": right / n, "calls": by_kind}

    def _learn(self, chosen: Sequence[Sequence[Tokens]]) -> Tensor:
        """One step; its loss stays on the device, so that nothing waits for it."""
        self.model.train()
        total = torch.zeros((), device=self.device)
        for examples in chosen:
            batch = collate(examples, self._pad_id).to(self.device)
            logits = self._replies(self.model, batch)
            if self._teacher is None:
                loss = F.cross_entropy(logits.float(), batch.labels)
            else:
                with torch.no_grad():
                    wanted = self._replies(self._teacher, batch)
                loss = F.kl_div(
                    F.log_softmax(logits.float(), -1),
                    F.log_softmax(wanted.float(), -1),
                    reduction="batchmean",
                    log_target=True,
                )
            (loss / len(chosen)).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() / len(chosen)
        nn.utils.clip_grad_norm_(self._parameters, self.recipe.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def _replies(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits of the learnt tokens alone: [n_learnt, vocab]. The head is not run for the prompts."""
        with torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.device.startswith("cuda")):
            body: Any = model.get_submodule("model")  # what transformers names the network below the head
            # No mask: what is padded stands behind the text, so no token that is learnt can see it, and attention
            # without one is the quicker kind.
            hidden = body(input_ids=batch.ids, use_cache=False).last_hidden_state
            logits: Tensor = model.get_submodule("lm_head")(hidden.flatten(0, 1)[batch.at])
        return logits

    def _steps(self) -> Iterator[tuple[float, list[list[Tokens]]]]:
        """From the first step on: how much of all is learnt before it, and batches whose gradients are added."""
        n_rounds = math.ceil(len(self._rounds) * self.recipe.epochs)
        for number in range(n_rounds):
            tokens = self._rounds[number % len(self._rounds)]
            order = batches(tokens, self.recipe.batch_tokens, f"{self.recipe.seed}/{number}")
            every = self.recipe.accumulate
            for at in range(0, len(order), every):
                learnt = (number + at / len(order)) / (len(self._rounds) * self.recipe.epochs)
                yield learnt, [[tokens[n] for n in chosen] for chosen in order[at : at + every]]

    def _note(self, record: dict[str, Any]) -> None:  # JSON
        self._write_losses()
        self._write([record])
        _log.info("%s", record)

    def _write_losses(self) -> None:
        self._write([{**record, "loss": float(loss)} for record, loss in self._unwritten])
        if self._unwritten:
            _log.info("step %d, loss %.3f", self.step, float(self._unwritten[-1][1]))
        self._unwritten.clear()

    def _write(self, records: Sequence[dict[str, Any]]) -> None:  # JSON
        with (self._folder / CURVES).open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in records)

    def _save(self) -> None:
        trained = {name: p.detach().cpu() for name, p in self.model.named_parameters() if p.requires_grad}
        state = {"step": self.step, "used_s": self._used_s, "model": trained, "optimizer": self._optimizer.state_dict()}
        partial = self._folder / f"{CHECKPOINT}.part"
        torch.save(state, partial)
        partial.replace(self._folder / CHECKPOINT)

    def _resume(self) -> None:
        path = self._folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        own = dict(self.model.named_parameters())
        if set(state["model"]) != {name for name, p in own.items() if p.requires_grad}:
            raise ModelError(f"{path}: is of another recipe; give the run a folder of its own")
        with torch.no_grad():
            for name, tensor in state["model"].items():
                own[name].copy_(tensor)
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self._used_s = state["step"], state["used_s"]


def compile_layers(model: nn.Module, backend: str = "inductor") -> None:
    """Each alone, for any shape: they share one compiled form, made in seconds where the whole would take minutes."""
    body: Any = model.get_submodule("model")
    for layer in body.layers:
        layer.compile(dynamic=True, backend=backend)


def _schedule(progress: float, warmup: float) -> float:
    """Linear up, cosine down to a twentieth."""
    if progress < warmup:
        return max(progress / warmup, 0.01)
    through = (progress - warmup) / (1 - warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, through)))


def shortened(model: nn.Module, n_layers: int) -> nn.Module:
    """The first `n_layers` of a model, with its embeddings, last norm and head: what a drafter begins as."""
    import copy

    draft = copy.deepcopy(model)
    body: Any = draft.get_submodule("model")
    body.layers = body.layers[:n_layers]
    config: Any = draft.config
    config.num_hidden_layers = n_layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:n_layers]
    for name, parameter in draft.named_parameters():
        parameter.requires_grad_("embed_tokens" not in name and "lm_head" not in name)
    return draft
