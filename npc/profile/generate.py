"""transformers' own `generate`, as a peer to be measured against."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npc.profile.peer import Answer, Peer, serve


class Generate(Peer):
    def __init__(self, model_folder: Path, n_threads: int) -> None:
        remedy = "transformers reads the same folder: is it complete?"
        super().__init__("transformers", remedy, __name__, str(model_folder), str(n_threads))

    def write(self, tokens: Sequence[int], n: int) -> tuple[float, float]:
        """Read `tokens` and write `n`: (prompt tokens/s, written tokens/s)."""
        answer = self.ask(prompt=list(tokens), n=n)
        return len(tokens) / answer["first_s"], (n - 1) / (answer["last_s"] - answer["first_s"])


def main() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(int(sys.argv[2]))

    def load(dtype: torch.dtype) -> "torch.nn.Module":
        model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=dtype)
        return model

    def reply(model: "torch.nn.Module", request: Answer) -> Answer:
        times: list[float] = []
        ids = torch.tensor([request["prompt"]])
        began = time.monotonic()
        for n in (1, request["n"]):
            generate: Any = model.generate  # torch types a module's attributes as tensors
            generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=n, max_new_tokens=n)
            times.append(time.monotonic() - began)
            began = time.monotonic()
        return {"first_s": times[0], "last_s": times[1]}

    # Which is quicker depends on the processor: the peer gets the better one.
    models = [load(torch.float32), load(torch.bfloat16)]
    trial: Answer = {"prompt": list(range(100, 120)), "n": 6}
    best = min(models, key=lambda model: reply(model, trial)["last_s"])
    models.clear()
    serve(lambda request: reply(best, request))


if __name__ == "__main__":
    main()
