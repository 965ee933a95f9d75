"""What is taught can be said: the engine's own grammar writes every reply, token by token."""

from random import Random

import llguidance
import pytest

from npc.actions import compile_reply_grammar
from npc.llm.architecture import Architecture
from npc.llm.tokenizer import ChatTokenizer
from npc.models import ModelStore
from npc.train.casting import set_stage
from npc.train.corpus import load_corpus
from npc.train.tasks import SHARES, Writer, write


@pytest.mark.real
def test_the_grammar_writes_every_reply_that_is_taught(models: ModelStore) -> None:
    folder = models.ensure("smollm2-135m-instruct")
    tokenizer, arch = ChatTokenizer(folder), Architecture.read(folder)
    known = llguidance.LLTokenizer(tokenizer.library.to_str(), n_vocab=arch.vocab_size, eos_token=list(arch.eos_ids))
    corpus = load_corpus()
    cast = [(world, form) for world in corpus.worlds for form in world.form.cast]
    n_written = 0
    for number in range(120):
        random = Random(number)
        stage = set_stage(corpus, *random.choice(cast), random)
        draft = write(random.choice(list(SHARES)), Writer(corpus, stage, random))
        if draft is None:
            continue
        grammar = compile_reply_grammar(stage.character.actions, stage.scene, expressions=stage.character.expressions)
        matcher = llguidance.LLMatcher(known, llguidance.LLMatcher.grammar_from_lark(grammar.lark))
        tokens = tokenizer.encode(draft.reply)
        assert matcher.validate_tokens(tokens) == len(tokens), draft.reply
        n_written += 1
    assert n_written > 100
