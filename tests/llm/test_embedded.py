"""The engine on its own thread, behind the protocol; on the tiny model, and on the one that ships."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_llm import write_model

from npc.config import LanguageModelSettings
from npc.errors import ModelError, StageError
from npc.llm.embedded import EmbeddedLanguageModel
from npc.models import ModelStore
from npc.turn import ChatMessage, GenerationEnd, Grammar, Sampling, TextPiece

SMITH = ChatMessage("system", "You are Brann, the blacksmith. You speak briefly.")
GREEDY = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=24)


@pytest.fixture(scope="module")
def tiny_model(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLanguageModel]:
    settings = LanguageModelSettings(weights="bf16", context_tokens=256, cache_mb=4)
    model = EmbeddedLanguageModel.load(tiny_folder, tmp_path_factory.mktemp("derived"), settings)
    yield model
    model.close()


async def reply(
    model: EmbeddedLanguageModel, question: str, sampling: Sampling = GREEDY, grammar: Grammar | None = None
) -> tuple[str, GenerationEnd]:
    parts = [part async for part in model.generate([SMITH, ChatMessage("user", question)], sampling, grammar)]
    end = parts.pop()
    assert isinstance(end, GenerationEnd)
    return "".join(part.text for part in parts if isinstance(part, TextPiece)), end


async def test_what_was_prefilled_is_not_read_again(tiny_model: EmbeddedLanguageModel) -> None:
    n_new = await tiny_model.prefill([SMITH])
    assert n_new > 20
    assert await tiny_model.prefill([SMITH]) == 0
    _, end = await reply(tiny_model, "Who?")
    assert end.n_cached_tokens >= n_new


async def test_many_ask_at_once_and_each_gets_its_own(tiny_model: EmbeddedLanguageModel) -> None:
    digits, letters = Grammar("start: /[0-9]{10}/", ""), Grammar("start: /[a-f]{10}/", "")
    grammars = [digits, letters] * 4
    sampling = Sampling(temperature=1, seed=3)
    replies = await asyncio.gather(*(reply(tiny_model, str(n), sampling, each) for n, each in enumerate(grammars)))
    for grammar, (text, _) in zip(grammars, replies, strict=True):
        assert re.fullmatch("[0-9]{10}" if grammar is digits else "[a-f]{10}", text)


async def test_leaving_the_generator_ends_the_work(tiny_model: EmbeddedLanguageModel) -> None:
    letters = Grammar("start: /[a-z ]+/", "")
    generator = tiny_model.generate([SMITH], Sampling(temperature=1, max_tokens=200), letters)
    assert isinstance(await anext(generator), TextPiece)
    await generator.aclose()
    await reply(tiny_model, "Next?")
    assert tiny_model._engine.is_idle


async def test_a_cancelled_task_ends_the_work(tiny_model: EmbeddedLanguageModel) -> None:
    begun = asyncio.Event()

    async def talk() -> None:
        letters = Grammar("start: /[a-z ]+/", "")
        async with contextlib.aclosing(tiny_model.generate([SMITH], Sampling(max_tokens=200), letters)) as parts:
            async for _ in parts:
                begun.set()

    task = asyncio.create_task(talk())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await reply(tiny_model, "Next?")
    assert tiny_model._engine.is_idle


async def test_a_prompt_that_is_too_long_is_a_stage_error(tiny_model: EmbeddedLanguageModel) -> None:
    with pytest.raises(StageError, match=r"the prompt has \d+ tokens; llm.context_tokens allows 256"):
        await reply(tiny_model, "word " * 100)
    text, end = await reply(tiny_model, "a" * 100, Sampling(temperature=1, max_tokens=500, seed=1))
    assert end.n_prompt_tokens + end.n_generated_tokens <= 256
    assert text


async def test_a_wrong_grammar_ends_the_reply_and_not_the_engine(tiny_model: EmbeddedLanguageModel) -> None:
    with pytest.raises(StageError, match="grammar"):
        await reply(tiny_model, "Hm?", GREEDY, Grammar("start: nowhere", ""))
    await reply(tiny_model, "Hm?")


async def test_a_kernel_that_fails_ends_the_reply_and_not_the_engine(
    tiny_model: EmbeddedLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(tiny_model._engine.runner, "run", fail)
        with pytest.raises(StageError, match="no memory"):
            await reply(tiny_model, "Hm?")
    await reply(tiny_model, "Hm?")


async def test_a_closed_engine_says_so(tiny_folder: Path, tmp_path: Path) -> None:
    model = EmbeddedLanguageModel.load(tiny_folder, tmp_path, LanguageModelSettings(context_tokens=128, cache_mb=1))
    model.close()
    with pytest.raises(StageError, match="closed"):
        await reply(model, "Hm?")


async def test_a_draft_model_changes_nothing_that_is_said(tiny_folder: Path, tmp_path: Path) -> None:
    settings = LanguageModelSettings(weights="bf16", context_tokens=256, cache_mb=4, draft_model="draft")
    model = EmbeddedLanguageModel.load(tiny_folder, tmp_path, settings, draft_folder=tiny_folder)
    plain = EmbeddedLanguageModel.load(tiny_folder, tmp_path, settings.model_copy(update={"speculates": False}))
    (text, end), (expected, _) = await reply(model, "Who?"), await reply(plain, "Who?")
    model.close()
    plain.close()
    assert text == expected
    assert 0 < end.n_accepted_tokens <= end.n_drafted_tokens


def test_a_draft_model_of_another_vocabulary_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", "llama", vocab_size=300)
    with pytest.raises(ModelError, match=r"llm\.draft_model has 300 tokens and llm\.model 320"):
        EmbeddedLanguageModel.load(tiny_folder, tmp_path, LanguageModelSettings(), draft_folder=other)


def test_a_folder_that_is_no_model_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        EmbeddedLanguageModel.load(tmp_path, tmp_path, LanguageModelSettings())


# On the model that ships


@pytest.fixture(scope="module", params=["int8", "int4"])
def smollm(request: pytest.FixtureRequest, models: ModelStore) -> Iterator[EmbeddedLanguageModel]:
    name = "smollm2-135m-instruct"
    settings = LanguageModelSettings(weights=request.param)
    model = EmbeddedLanguageModel.load(models.ensure(name), models.derived(name, "llm"), settings)
    yield model
    model.close()


@pytest.mark.real
async def test_the_model_that_ships_answers_a_question(smollm: EmbeddedLanguageModel) -> None:
    parts = [part async for part in smollm.generate([ChatMessage("user", "How many legs has a spider?")], GREEDY)]
    assert "8" in "".join(part.text for part in parts if isinstance(part, TextPiece))


@pytest.mark.real
async def test_the_model_that_ships_acts_only_legally(smollm: EmbeddedLanguageModel) -> None:
    grammar = Grammar('start: /[A-Z][a-z ,]{1,40}\\./ " [walk_to(place=" ("well" | "forge") ")]"', "")
    for seed in range(3):
        sampling = Sampling(temperature=1, max_tokens=90, seed=seed)
        text, end = await reply(smollm, "Go to the well.", sampling, grammar)
        assert re.fullmatch(r"[A-Z][a-z ,]{1,40}\. \[walk_to\(place=(well|forge)\)\]", text)
        assert end.n_steps < end.n_generated_tokens, "the call's own words are forced"


@pytest.mark.real
async def test_eight_at_once_say_what_each_says_alone(smollm: EmbeddedLanguageModel) -> None:
    questions = [f"Tell me about the number {n}." for n in range(8)]
    sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=8)
    together = await asyncio.gather(*(reply(smollm, question, sampling) for question in questions))
    apart = [await reply(smollm, question, sampling) for question in questions]
    # bfloat16 sums in another order may part near ties; mixing two conversations would part nearly all.
    assert sum(one[0] == other[0] for one, other in zip(together, apart, strict=True)) >= 6
