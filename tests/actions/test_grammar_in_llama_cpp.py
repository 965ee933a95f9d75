"""llama.cpp reads the same grammar in its own notation."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from npc.actions import Rejected, ReplyParser, compile_reply_grammar, expressions
from npc.actions.grammar import Choice
from npc.config import LanguageModelSettings
from npc.llm.openai import OpenAILanguageModel
from npc.models import ModelStore
from npc.profile.actions import crowded, demanding_library
from npc.turn import ChatMessage, Sampling, TextPiece

pytestmark = pytest.mark.real

SHOWN = expressions(["gruff", "fond"], ["shrug"])
SERVER = Path(__file__).parents[1] / "llm" / "llama_server.py"


@pytest.fixture(scope="module")
def url(models: ModelStore) -> Iterator[str]:
    gguf = next(models.ensure("smollm2-135m-instruct-gguf").glob("*.gguf"))
    command = [sys.executable, str(SERVER), str(gguf)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield next(line for line in server.stdout if line.startswith("listening")).split()[1]
        server.kill()


@pytest.mark.parametrize("choice", ["auto", "required"])
async def test_many_targets_with_feelings_are_a_grammar_for_llama_cpp(url: str, choice: Choice) -> None:
    scene, actions = crowded(60), demanding_library()
    grammar = compile_reply_grammar(actions, scene, choice, expressions=SHOWN)
    model = OpenAILanguageModel(LanguageModelSettings(backend="openai", base_url=f"{url}/v1"))
    question = [ChatMessage("user", "Reply with [feel(name=gruff)] Aye. [walk_to(place=place_7)]")]
    try:
        sampling = Sampling(temperature=0, max_tokens=30)
        pieces = [piece async for piece in model.generate(question, sampling, grammar)]
    finally:
        await model.close()
    reply = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
    assert reply
    parser = ReplyParser(actions, scene, expressions=SHOWN)
    assert not any(isinstance(piece, Rejected) for piece in parser.push(reply))
    if choice == "required":
        assert "[" in reply
