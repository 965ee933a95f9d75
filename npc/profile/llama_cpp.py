"""llama.cpp from the wheel `xllamacpp`, as a peer to be measured against.

It runs in a process of its own (`python -m npc.profile.llama_cpp MODEL.gguf N_THREADS`), a request a line in and an
answer a line out: two engines in one process share an OpenMP, which slows both. Its own clock is taken.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npc.errors import ConfigError


class LlamaCpp:
    def __init__(self, gguf: Path, n_threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(gguf), str(n_threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def write(self, tokens: Sequence[int], n: int) -> tuple[float, float]:
        """Read `tokens`, nothing of them cached, and write `n`: (prompt tokens/s, written tokens/s)."""
        timings = self._complete(tokens, n, is_cached=False)
        return timings["prompt_per_second"], (timings["predicted_n"] - 1) / timings["predicted_ms"] * 1000

    def first_token_ms(self, cached: Sequence[int], new: Sequence[int]) -> float:
        """Time to the first token of `cached` + `new` when `cached` was read before."""
        self._complete(cached, 1, is_cached=True)
        timings = self._complete([*cached, *new], 1, is_cached=True)
        return float(timings["prompt_ms"] + timings["predicted_ms"])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _complete(self, tokens: Sequence[int], n: int, *, is_cached: bool) -> dict[str, float]:
        request = {"prompt": list(tokens), "n_predict": n, "cache_prompt": is_cached}
        if self._process.stdin is None or self._process.stdout is None:
            raise ConfigError("llama.cpp has no pipes to talk through")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says why
        for line in self._process.stdout:
            if line.startswith("{"):  # it logs to the same pipe
                answer: dict[str, Any] = json.loads(line)
                if "timings" not in answer:
                    raise ConfigError(f"llama.cpp gave no reply to measure: {answer}")
                timings: dict[str, float] = answer["timings"]
                return timings
        raise ConfigError("llama.cpp did not start; the extra 'dev' has it: pip install 'npc-realtime[dev]'")


def main() -> None:
    import xllamacpp  # type: ignore[import-untyped]  # compiled, without stubs

    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx, params.n_parallel, params.port = 2048, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[2])
    params.verbosity = -1
    server = xllamacpp.Server(params)
    for line in sys.stdin:
        answer = server.handle_completions({"temperature": 0, "ignore_eos": True} | json.loads(line))
        print("\n" + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
