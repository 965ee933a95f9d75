"""llama.cpp from the wheel `xllamacpp`, as a peer to be measured against."""

import sys
from collections.abc import Sequence
from pathlib import Path

from npc.profile.peer import Answer, Peer, serve


class LlamaCpp(Peer):
    def __init__(self, gguf: Path, n_threads: int) -> None:
        remedy = "the extra 'dev' has it: pip install 'npc-realtime[dev]'"
        super().__init__("llama.cpp", remedy, __name__, str(gguf), str(n_threads))

    def write(self, tokens: Sequence[int], n: int) -> tuple[float, float]:
        """Read `tokens`, nothing of them cached, and write `n`: (prompt tokens/s, written tokens/s)."""
        timings = self._complete(tokens, n, is_cached=False)
        return timings["prompt_per_second"], (timings["predicted_n"] - 1) / timings["predicted_ms"] * 1000

    def first_token_ms(self, cached: Sequence[int], new: Sequence[int]) -> float:
        """Time to the first token of `cached` + `new` when `cached` was read before."""
        self._complete(cached, 1, is_cached=True)
        timings = self._complete([*cached, *new], 1, is_cached=True)
        return timings["prompt_ms"] + timings["predicted_ms"]

    def _complete(self, tokens: Sequence[int], n: int, *, is_cached: bool) -> dict[str, float]:
        timings: dict[str, float] = self.ask(prompt=list(tokens), n_predict=n, cache_prompt=is_cached)["timings"]
        return timings


def main() -> None:
    import xllamacpp  # type: ignore[import-untyped]  # compiled, without stubs

    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx, params.n_parallel, params.port = 2048, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[2])
    params.verbosity = -1
    server = xllamacpp.Server(params)

    def reply(request: Answer) -> Answer:
        answer: Answer = server.handle_completions({"temperature": 0, "ignore_eos": True} | request)
        return answer

    serve(reply)


if __name__ == "__main__":
    main()
