"""The training loop: compact, resumable, its curves kept as JSON lines.

Everything that a run needs is in its folder: the recipe, the last checkpoint,
`curves.jsonl`. Started again, it goes on where it was.
"""

import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

from npc.errors import ModelError
from npc.train.batches import IGNORED, Batch, Tokens, batches, collate
from npc.train.recipe import Recipe
from npc.train.rounding import Rounding, add_low_rank, add_rounding

_log = logging.getLogger(__name__)
CHECKPOINT, CURVES = "checkpoint.pt", "curves.jsonl"

Clock = Callable[[], float]
"""Monotonic seconds."""


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
        train: Sequence[Tokens],
        dev: Sequence[Tokens],
        folder: Path,
        pad_id: int = 0,
        teacher: nn.Module | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.model, self.recipe = model, recipe
        self._train, self._dev = train, dev
        self._folder, self._pad_id = folder, pad_id
        self._teacher = teacher
        self._clock = clock
        self.device = str(next(model.parameters()).device)
        if recipe.method == "low-rank":
            add_low_rank(model, recipe.rank, recipe.alpha)
        self._roundings: list[Rounding] = add_rounding(model, recipe.weights)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
        )
        self.step = 0
        self._used_s = 0.0
        per_epoch = math.ceil(len(batches(train, recipe.batch_tokens, recipe.seed)) / recipe.accumulate)
        self.n_steps = max(1, round(per_epoch * recipe.epochs))
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self, most_steps: int | None = None) -> None:
        """Train to the end, or `most_steps` further; a checkpoint is written whenever it stops."""
        began = self._clock()
        n_begun, used_before = self.step, self._used_s
        for chosen in self._batches():
            elapsed = used_before + self._clock() - began
            progress = max(self.step / self.n_steps, elapsed / (60 * self.recipe.minutes))
            if progress >= 1 or (most_steps is not None and self.step - n_begun >= most_steps):
                break
            is_rounded = progress >= self.recipe.quantised_from
            is_rounded &= Random(f"{self.recipe.seed}/{self.step}").random() < self.recipe.quantised_share
            for rounding in self._roundings:
                rounding.is_on = is_rounded
            rate = self.recipe.learning_rate * _schedule(progress, self.recipe.warmup)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            loss = self._learn(chosen)
            self.step += 1
            self._used_s = used_before + self._clock() - began
            record: dict[str, Any] = {"step": self.step, "seconds": round(self._used_s, 1), "rate": rate, "loss": loss}
            if self.step % self.recipe.eval_every == 0:
                record["dev"] = self.evaluate()
            self._note(record)
            if self.step % self.recipe.save_every == 0:
                self._save()
        for rounding in self._roundings:
            rounding.is_on = True
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
            logits, labels = self._replies(self.model, batch)
            loss += float(F.cross_entropy(logits.float(), labels, reduction="sum"))
            is_right = logits.argmax(-1) == labels
            right += float(is_right.sum())
            n += labels.numel()
            counts = (batch.labels[:, 1:] != IGNORED).sum(1).tolist()
            for each, verdicts in zip(examples, torch.split(is_right.cpu(), counts), strict=True):
                own = verdicts[-(len(each.ids) - each.n_prompt) :]
                calls[each.kind].append(bool(own[each.call[0] : each.call[1]].all()) if each.call else True)
        self.model.train()
        by_kind = {kind: round(100 * sum(rights) / len(rights), 1) for kind, rights in sorted(calls.items()) if kind}
        return {"loss": loss / n, "right": right / n, "calls": by_kind}

    def _learn(self, chosen: Sequence[Sequence[int]]) -> float:
        self.model.train()
        total = 0.0
        for indices in chosen:
            batch = collate([self._train[i] for i in indices], self._pad_id).to(self.device)
            logits, labels = self._replies(self.model, batch)
            if self._teacher is None:
                loss = F.cross_entropy(logits.float(), labels)
            else:
                with torch.no_grad():
                    wanted, _ = self._replies(self._teacher, batch)
                loss = F.kl_div(
                    F.log_softmax(logits.float(), -1),
                    F.log_softmax(wanted.float(), -1),
                    reduction="batchmean",
                    log_target=True,
                )
            (loss / len(chosen)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) / len(chosen)
        nn.utils.clip_grad_norm_(self._parameters, self.recipe.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def _replies(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits and labels of the replies' tokens alone: [n, vocab], [n]. The head is not run for the prompts."""
        with torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.device.startswith("cuda")):
            body: Any = model.get_submodule("model")  # what transformers names the network below the head
            # No mask: what is padded stands behind the text, so no token that is learnt can see it, and attention
            # without one is the quicker kind.
            hidden = body(input_ids=batch.ids, use_cache=False).last_hidden_state
            labels = batch.labels[:, 1:]
            is_reply = labels != IGNORED
            logits: Tensor = model.get_submodule("lm_head")(hidden[:, :-1][is_reply])
        return logits, labels[is_reply]

    def _batches(self) -> "list[list[list[int]]]":
        """What is left to run, each a list of batches whose gradients are added."""
        steps: list[list[list[int]]] = []
        epoch = 0
        while len(steps) < self.n_steps:
            order = batches(self._train, self.recipe.batch_tokens, self.recipe.seed + epoch)
            every = self.recipe.accumulate
            steps += [order[at : at + every] for at in range(0, len(order), every)]
            epoch += 1
        return steps[self.step : self.n_steps]

    def _note(self, record: dict[str, Any]) -> None:
        with (self._folder / CURVES).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        if "dev" in record or self.step % 20 == 0:
            _log.info("%s", record)

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
