"""The OpenAI-compatible backend, on scripted endpoints and on llama.cpp's own server."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from npc.config import LanguageModelSettings
from npc.errors import ConfigError, StageError
from npc.llm.openai import OpenAILanguageModel
from npc.models import ModelStore
from npc.turn import ChatMessage, GenerationEnd, Grammar, Sampling, TextPiece

QUESTION = [ChatMessage("system", "You are brief."), ChatMessage("user", "Count from one to fifty.")]
GREEDY = Sampling(temperature=0, max_tokens=24)
WELL_OR_FORGE = Grammar(
    lark='start: "[walk_to(place=" ("well" | "forge") ")]"',
    gbnf='root ::= "[walk_to(place=" ("well" | "forge") ")]"',
)


def event(text: str = "", finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


GOOD = event("Aye") + event(", sir.") + event(finish="stop") + 'data: {"choices": [], "usage": {"prompt_tokens": 9, '
GOOD += '"completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}}\n\ndata: [DONE]\n\n'


def scripted(
    answer: Callable[[httpx.Request], httpx.Response], urls: str = "http://one/v1", **settings: object
) -> OpenAILanguageModel:
    values = {"backend": "openai", "base_url": urls, **settings}
    return OpenAILanguageModel(LanguageModelSettings.model_validate(values), httpx.MockTransport(answer))


async def reply(model: OpenAILanguageModel, grammar: Grammar | None = None) -> tuple[str, GenerationEnd]:
    parts = [part async for part in model.generate(QUESTION, GREEDY, grammar)]
    assert isinstance(parts[-1], GenerationEnd)
    return "".join(part.text for part in parts if isinstance(part, TextPiece)), parts[-1]


async def test_pieces_join_to_the_reply_and_the_end_counts_its_tokens() -> None:
    text, end = await reply(scripted(lambda _: httpx.Response(200, text=GOOD)))
    assert text == "Aye, sir."
    assert (end.n_prompt_tokens, end.n_cached_tokens, end.n_generated_tokens) == (9, 4, 2)
    assert end.reason == "stop"


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("gbnf", {"grammar": WELL_OR_FORGE.gbnf}),
        ("guided", {"structured_outputs": {"grammar": WELL_OR_FORGE.gbnf}}),
        ("llguidance", {"structured_outputs": {"grammar": WELL_OR_FORGE.lark}}),
        ("none", {}),
    ],
)
async def test_the_grammar_goes_along_in_the_dialect_that_the_settings_name(
    dialect: str, expected: dict[str, object]
) -> None:
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, text=GOOD)

    await reply(scripted(answer, grammar=dialect), WELL_OR_FORGE)
    grammar_fields = {key: bodies[0][key] for key in ("grammar", "structured_outputs") if key in bodies[0]}
    assert grammar_fields == expected
    assert dialect != "none" or not {"top_k", "repeat_penalty", "repetition_penalty"} & bodies[0].keys()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(404, json={"error": {"message": "model 'x' does not exist"}}), "404: model 'x' does not exist"),
        (httpx.Response(401, text="no such key"), "401: no such key"),
        (httpx.Response(200, text=event("Aye")), "ended its stream in the middle"),
        (httpx.Response(200, text=event("Aye") + "data: {nonsense\n\n"), "not JSON"),
        (httpx.Response(200, text="<html>hello</html>"), "no server-sent event"),
        (httpx.Response(200, text='data: {"error": {"message": "out of memory"}}\n\n'), "out of memory"),
        (httpx.Response(200, text='data: {"choices": ["what"]}\n\n'), "another shape"),
    ],
)
async def test_a_failure_says_what_the_endpoint_did(answer: httpx.Response, message: str) -> None:
    with pytest.raises(StageError, match=re.escape(message)):
        await reply(scripted(lambda _: answer))


async def test_a_busy_endpoint_is_asked_again_before_the_first_token() -> None:
    answers = [httpx.Response(503, text="loading"), httpx.Response(200, json={}), httpx.Response(200, text=GOOD)]
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return answers.pop(0)

    assert (await reply(scripted(answer)))[0] == "Aye, sir."
    assert asked == ["/v1/chat/completions", "/v1/models", "/v1/chat/completions"]


async def test_nothing_is_tried_again_once_the_reply_has_begun() -> None:
    n_asked = 0

    class Breaks(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield event("Aye").encode()
            raise httpx.ReadError("reset by peer")

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal n_asked
        n_asked += 1
        return httpx.Response(200, stream=Breaks())

    with pytest.raises(StageError, match="in the middle of the reply"):
        await reply(scripted(answer))
    assert n_asked == 1


async def test_leaving_the_generator_closes_the_stream() -> None:
    closed = asyncio.Event()

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield event("la ").encode()
                await asyncio.sleep(0)

        async def aclose(self) -> None:
            closed.set()

    generator = scripted(lambda _: httpx.Response(200, stream=Endless())).generate(QUESTION, GREEDY)
    assert await anext(generator) == TextPiece("la ", 1)
    await generator.aclose()
    assert closed.is_set()


async def test_a_character_stays_at_one_endpoint_and_moves_when_it_fails() -> None:
    asked: list[str] = []
    broken: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.host in broken:
            raise httpx.ConnectError("connection refused")
        return httpx.Response(200, text=GOOD)

    model = scripted(answer, "http://one/v1 http://two/v1 http://three/v1")
    for _ in range(3):
        await reply(model)
    assert len(set(asked)) == 1
    broken.add(asked[0])
    assert (await reply(model))[0] == "Aye, sir."
    assert asked[-1] not in broken
    n_before = len(asked)
    await reply(model)
    assert set(asked[n_before:]) == {asked[-1]}, "the one that failed is left alone"


async def test_characters_spread_over_the_endpoints() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(200, text=GOOD)

    model = scripted(answer, "http://one/v1 http://two/v1")
    for name in "abcdefghij":
        async for _ in model.generate([ChatMessage("system", name)], GREEDY):
            pass
    assert set(asked) == {"one", "two"}


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080"])
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        scripted(lambda _: httpx.Response(200), url)


async def test_a_refused_connection_is_named() -> None:
    settings = LanguageModelSettings(backend="openai", base_url="http://127.0.0.1:9/v1")
    model = OpenAILanguageModel(settings)
    with pytest.raises(StageError, match="cannot be reached"):
        await reply(model)
    await model.close()


# On the real thing


class LlamaServer:
    def __init__(self, gguf: Path) -> None:
        script = Path(__file__).with_name("llama_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(gguf)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if line.startswith("listening"))
        self.url = line.split()[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="module")
def gguf(models: ModelStore) -> Path:
    return next(models.ensure("smollm2-135m-instruct-gguf").glob("*.gguf"))


@pytest.fixture(scope="module")
def llama(gguf: Path) -> Iterator[LlamaServer]:
    server = LlamaServer(gguf)
    yield server
    server.kill()


@pytest.fixture
async def model(llama: LlamaServer) -> AsyncIterator[OpenAILanguageModel]:
    model = OpenAILanguageModel(LanguageModelSettings(backend="openai", base_url=f"{llama.url}/v1"))
    yield model
    await model.close()


@pytest.mark.real
async def test_llama_cpp_streams_a_reply_and_keeps_its_prompt(model: OpenAILanguageModel) -> None:
    await model.prefill(QUESTION)
    parts = [part async for part in model.generate(QUESTION, GREEDY)]
    text = "".join(part.text for part in parts if isinstance(part, TextPiece))
    end = parts[-1]
    assert isinstance(end, GenerationEnd)
    assert len(parts) > 4
    assert text
    assert 0 < end.n_cached_tokens < end.n_prompt_tokens


@pytest.mark.real
async def test_llama_cpp_writes_only_what_the_grammar_allows(model: OpenAILanguageModel) -> None:
    text, _ = await reply(model, WELL_OR_FORGE)
    assert text in ("[walk_to(place=well)]", "[walk_to(place=forge)]")


@pytest.mark.real
async def test_llama_cpp_explains_a_grammar_that_has_a_mistake(model: OpenAILanguageModel) -> None:
    with pytest.raises(StageError, match="grammar"):
        await reply(model, Grammar(lark="", gbnf="root ::= nowhere"))


@pytest.mark.real
async def test_llama_cpp_stops_when_the_generator_is_left(model: OpenAILanguageModel, llama: LlamaServer) -> None:
    generator = model.generate(QUESTION, Sampling(temperature=0, max_tokens=900, stop=()))
    await anext(generator)
    await generator.aclose()
    async with httpx.AsyncClient() as client, asyncio.timeout(20):
        while True:
            metrics = (await client.get(f"{llama.url}/metrics")).text
            if re.search(r"^llamacpp:requests_processing 0", metrics, re.MULTILINE):
                break
            await asyncio.sleep(0.05)
    generated = re.search(r"^llamacpp:tokens_predicted_total (\d+)", metrics, re.MULTILINE)
    assert generated is not None
    assert int(generated[1]) < 800


@pytest.mark.real
async def test_llama_cpp_killed_in_the_middle_of_a_reply_is_an_error_at_once(gguf: Path) -> None:
    server = LlamaServer(gguf)
    model = OpenAILanguageModel(LanguageModelSettings(backend="openai", base_url=f"{server.url}/v1"))
    try:
        generator = model.generate(QUESTION, Sampling(temperature=0, max_tokens=900))
        await anext(generator)
        server.kill()
        with pytest.raises(StageError, match="in the middle of the reply"):
            async for _ in generator:
                pass
        with pytest.raises(StageError, match="cannot be reached"):
            await reply(model)
    finally:
        server.kill()
        await model.close()


@pytest.mark.real
async def test_when_one_of_two_servers_is_killed_the_next_reply_comes_from_the_other(gguf: Path) -> None:
    servers = [LlamaServer(gguf), LlamaServer(gguf)]
    urls = [f"{server.url}/v1" for server in servers]
    model = OpenAILanguageModel(LanguageModelSettings(backend="openai", base_url=" ".join(urls)))
    try:
        generator = model.generate(QUESTION, Sampling(temperature=0, max_tokens=900))
        await anext(generator)
        used = model._endpoints.order(QUESTION[0].content)[0]
        servers[urls.index(used)].kill()
        with pytest.raises(StageError, match="in the middle of the reply"):
            async for _ in generator:
                pass
        text, _ = await reply(model)
        assert text
        assert model._endpoints.is_suspect(used)
    finally:
        for server in servers:
            server.kill()
        await model.close()
