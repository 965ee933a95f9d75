"""Replies from an OpenAI-compatible endpoint: llama.cpp, vLLM, SGLang, TensorRT-LLM, or a service.

How a studio outgrows one machine. Streams `chat/completions`; a grammar goes
along in the dialect that the endpoint reads; leaving the generator closes the
connection, which is how these servers learn to stop.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import httpx

from npc.config import LanguageModelSettings
from npc.errors import ConfigError, StageError
from npc.llm.endpoints import Endpoints
from npc.llm.sse import read_line, server_message
from npc.turn import ChatMessage, GenerationEnd, Grammar, Sampling, TextPiece

_STAGE = "language model"
_CONNECT_S, _HEALTH_S = 5.0, 2.0
_RETRIES = 2
"""Beyond the first try, where nothing was said yet and the failure may pass."""
_PAUSE_S = 0.2
_MAY_PASS = frozenset({408, 429, 500, 502, 503, 504})

Body = dict[str, Any]  # a JSON object


class _MayPassError(StageError):
    """A failure before the first token that another try, or another endpoint, may not have."""


class OpenAILanguageModel:
    """The `LanguageModel` behind `settings.base_url` (several, parted by spaces, share the load). Ended by `close`.

    `transport` replaces the network in tests; `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        settings: LanguageModelSettings,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        urls = settings.base_url.split()
        if not urls:
            raise ConfigError("llm.base_url is empty; backend 'openai' needs one, such as http://127.0.0.1:8080/v1")
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ConfigError(f"llm.base_url: {url!r} is no URL; it begins with http:// or https://")
        self._settings, self._clock = settings, clock
        self._endpoints = Endpoints(urls, clock)
        self._client = httpx.AsyncClient(
            transport=transport,
            headers={"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {},
            timeout=httpx.Timeout(settings.timeout_s, connect=min(_CONNECT_S, settings.timeout_s)),
            limits=httpx.Limits(max_connections=None),
        )

    async def prefill(self, messages: Sequence[ChatMessage]) -> int:
        """Have the endpoint read `messages`, where it keeps prompts; the number of tokens it says were new."""
        n_new = 0
        async for part in self.generate(messages, Sampling(temperature=0, max_tokens=1)):
            if isinstance(part, GenerationEnd):
                n_new = max(0, part.n_prompt_tokens - part.n_cached_tokens)
        return n_new

    async def generate(
        self, messages: Sequence[ChatMessage], sampling: Sampling, grammar: Grammar | None = None
    ) -> AsyncGenerator[TextPiece | GenerationEnd, None]:
        body = self._body(messages, sampling, grammar)
        prefix = messages[0].content if messages else ""
        for n_failed in range(_RETRIES + 1):
            url = await self._choose(prefix)
            try:
                async with contextlib.aclosing(self._stream(url, body)) as stream:
                    async for part in stream:
                        yield part
                self._endpoints.works(url)
                return
            except _MayPassError:
                self._endpoints.failed(url)
                if n_failed == _RETRIES:
                    raise
                await asyncio.sleep(_PAUSE_S * 2**n_failed)

    async def close(self) -> None:
        await self._client.aclose()

    async def _choose(self, prefix: str) -> str:
        order = self._endpoints.order(prefix)
        for url in order:
            if not self._endpoints.is_suspect(url) or await self._is_healthy(url):
                return url
        return order[0]  # all are down: its own error says more than ours could

    async def _is_healthy(self, url: str) -> bool:
        try:
            response = await self._client.get(f"{url}/models", timeout=_HEALTH_S)
        except httpx.HTTPError:
            healthy = False
        else:
            healthy = response.is_success
        if healthy:
            self._endpoints.works(url)
        else:
            self._endpoints.failed(url)
        return healthy

    async def _stream(self, url: str, body: Body) -> AsyncGenerator[TextPiece | GenerationEnd, None]:
        """One try at one endpoint. Raises _MayPassError only while nothing was yielded."""
        began_s = self._clock()
        reply = _Reply(self._clock)
        try:
            async with self._client.stream("POST", f"{url}/chat/completions", json=body) as response:
                if not response.is_success:
                    await response.aread()
                    _refuse(url, response)
                async for line in response.aiter_lines():
                    event = read_line(line)
                    if event == "done":
                        break
                    if event is not None and (piece := reply.read(event)) is not None:
                        yield piece
        except httpx.TransportError as error:
            self._endpoints.failed(url)
            kind = StageError if reply.has_begun else _MayPassError
            raise kind(_STAGE, _describe(url, error, has_begun=reply.has_begun)) from error
        if reply.reason is None:
            self._endpoints.failed(url)
            kind = StageError if reply.has_begun else _MayPassError
            raise kind(_STAGE, f"{url} ended its stream in the middle of the reply")
        yield reply.end(began_s)

    def _body(self, messages: Sequence[ChatMessage], sampling: Sampling, grammar: Grammar | None) -> Body:
        body: Body = {
            "model": self._settings.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        match self._settings.grammar:
            case "none":
                return body  # a service that follows OpenAI to the letter refuses fields beyond its own
            case "gbnf":
                body |= {"top_k": sampling.top_k, "repeat_penalty": sampling.repetition_penalty, "cache_prompt": True}
                extra: Body = {"grammar": grammar.gbnf} if grammar else {}
            case "guided":
                body |= {"top_k": sampling.top_k or -1, "repetition_penalty": sampling.repetition_penalty}
                extra = {"structured_outputs": {"grammar": grammar.gbnf}} if grammar else {}
            case "llguidance":
                body |= {"top_k": sampling.top_k or -1, "repetition_penalty": sampling.repetition_penalty}
                extra = {"structured_outputs": {"grammar": grammar.lark}} if grammar else {}
        return body | extra


class _Reply:
    """What one stream has brought so far."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_s: float | None = None
        self._n_pieces = 0
        self._usage: Body = {}
        self.reason: str | None = None

    @property
    def has_begun(self) -> bool:
        return self._n_pieces > 0

    def read(self, event: Body) -> TextPiece | None:
        try:
            self._usage = event.get("usage") or self._usage
            choices = event.get("choices") or []
            if not choices:
                return None
            self.reason = choices[0].get("finish_reason") or self.reason
            text = (choices[0].get("delta") or {}).get("content")
        except (AttributeError, KeyError, TypeError) as error:
            raise StageError(_STAGE, f"the endpoint sent an event of another shape: {str(event)[:80]}") from error
        if not text:
            return None
        if self._first_s is None:
            self._first_s = self._clock()
        self._n_pieces += 1
        return TextPiece(str(text), 1)

    def end(self, began_s: float) -> GenerationEnd:
        now = self._clock()
        first = now if self._first_s is None else self._first_s
        details = self._usage.get("prompt_tokens_details") or {}
        return GenerationEnd(
            reason="length" if self.reason == "length" else "stop",
            n_prompt_tokens=self._usage.get("prompt_tokens", 0),
            n_cached_tokens=details.get("cached_tokens", 0),
            n_generated_tokens=self._usage.get("completion_tokens", self._n_pieces),
            prefill_ms=1000 * (first - began_s),
            decode_ms=1000 * (now - first),
        )


def _refuse(url: str, response: httpx.Response) -> None:
    kind = _MayPassError if response.status_code in _MAY_PASS else StageError
    raise kind(_STAGE, f"{url} answered {response.status_code}: {server_message(response.text)}")


def _describe(url: str, error: httpx.TransportError, *, has_begun: bool) -> str:
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return f"{url} cannot be reached ({error or type(error).__name__}); is the endpoint running?"
        case httpx.TimeoutException():
            return f"{url} sent nothing for llm.timeout_s"
        case _ if has_begun:
            return f"{url} broke off in the middle of the reply ({error or type(error).__name__})"
        case _:
            return f"{url} broke the connection off ({error or type(error).__name__})"
