"""Cases go through the session's own pieces: prompt, retrieval, grammar, parser."""

from collections.abc import AsyncGenerator, Sequence

from npc.character import load_character
from npc.cli.evaluate import held_out
from npc.config import Knowledge
from npc.evaluate.cases import Case
from npc.evaluate.respond import Respondent
from npc.turn import ChatMessage, GenerationEnd, Grammar, Passage, Sampling, TextPiece

ODILE = held_out() / "characters" / "funicular-driver"


class Scripted:
    """A language model that says one thing, and keeps what it was asked."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.messages: list[Sequence[ChatMessage]] = []
        self.sampling: Sampling | None = None
        self.grammar: Grammar | None = None

    async def prefill(self, messages: Sequence[ChatMessage]) -> int:
        return 0

    async def generate(
        self, messages: Sequence[ChatMessage], sampling: Sampling, grammar: Grammar | None = None
    ) -> AsyncGenerator[TextPiece | GenerationEnd, None]:
        self.messages.append(messages)
        self.sampling, self.grammar = sampling, grammar
        for piece in self.pieces:
            yield TextPiece(piece, 3)
        yield GenerationEnd("stop", 10, 0, 3 * len(self.pieces), 1.0, 1.0)


class Shelf:
    async def retrieve(self, query: str, n: int, context: str = "") -> tuple[Passage, ...]:
        return (Passage(f"Of {query} after {context or 'nothing'}", "line.md", ""),)


def respondent(llm: Scripted) -> Respondent:
    odile = load_character(ODILE)
    return Respondent(llm, {odile.id: odile}, {odile.id: Shelf()}, None, Knowledge())


async def test_a_reply_is_parted_into_words_and_calls() -> None:
    llm = Scripted("Hold on. [ring_", "warning(strokes=2)]", " There.")
    made = await respondent(llm).respond(Case(id="1", character="funicular-driver", utterance="Ring it."))
    assert made.reply == "Hold on. There."
    assert [(call.name, call.args) for call in made.actions] == [("ring_warning", {"strokes": 2})]
    assert made.written == "Hold on. [ring_warning(strokes=2)] There."
    assert (made.n_tokens, made.n_first_clause_tokens) == (9, 6)


async def test_the_prompt_holds_passages_history_and_scene_and_is_answered_greedily() -> None:
    llm = Scripted("Aye.")
    case = Case.model_validate(
        {
            "id": "1",
            "character": "funicular-driver",
            "utterance": "And the fare?",
            "history": [{"role": "player", "text": "Is it far?"}, {"role": "npc", "text": "No."}],
            "scene": {"places": [{"id": "moon_base"}]},
        }
    )
    made = await respondent(llm).respond(case)
    contents = [message.content for message in llm.messages[0]]
    assert "moon_base" in contents[0]
    assert contents[-3:] == ["Is it far?", "No.", "(You know: Of And the fare? after Is it far?)\nAnd the fare?"]
    assert made.passages == ("Of And the fare? after Is it far?",)
    assert llm.sampling is not None
    assert llm.sampling.temperature == 0
    assert llm.grammar is not None
    assert "moon_base" in llm.grammar.lark


async def test_many_cases_are_answered_in_their_order() -> None:
    cases = [Case(id=str(n), character="funicular-driver", utterance=f"Number {n}?") for n in range(7)]
    made = [one.id async for one in respondent(Scripted("Aye.")).respond_all(cases)]
    assert made == [case.id for case in cases]


async def test_a_reply_that_is_long_enough_ends_with_its_sentence() -> None:
    odile = load_character(ODILE)
    llm = Scripted("One two three", " four.", " [halt_car()]", " And so on.")
    answering = Respondent(llm, {odile.id: odile}, {odile.id: Shelf()}, None, Knowledge(), reply_words=4)
    made = await answering.respond(Case(id="1", character=odile.id, utterance="Hm?"))
    assert (made.reply, made.actions) == ("One two three four.", ())


async def test_the_prompt_tells_what_a_session_would_tell_of_the_moment() -> None:
    llm = Scripted("Aye.")
    case = Case.model_validate(
        {
            "id": "1",
            "character": "funicular-driver",
            "utterance": "Stamp it, please.",
            "history": [{"role": "player", "text": "Here is my season pass."}, {"role": "npc", "text": "So it is."}],
        }
    )
    await respondent(llm).respond(case)
    assert '(By "it" the player means season_pass.)' in llm.messages[0][-1].content


async def test_a_reply_can_be_sampled_as_a_session_samples_it() -> None:
    odile = load_character(ODILE)
    llm = Scripted("Aye.")
    answering = Respondent(
        llm, {odile.id: odile}, {odile.id: Shelf()}, None, Knowledge(), temperature=0.3, repetition_penalty=1.1
    )
    await answering.respond(Case(id="1", character=odile.id, utterance="Hm?"))
    assert llm.sampling is not None
    assert (llm.sampling.temperature, llm.sampling.repetition_penalty) == (0.3, 1.1)
