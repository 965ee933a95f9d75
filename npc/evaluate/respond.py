"""Answers cases as a session would: look up, nominate, prompt, write under the grammar, read back.

Uses the pieces that `npc.reply` uses, in its order; what is left out is sound.
Replies are greedy unless it is asked otherwise, so that a table means the same tomorrow.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from npc.actions import Act, Nomination, Nominator, ReplyParser, Say, render_call
from npc.character import Character, build_prompt
from npc.config import Knowledge
from npc.evaluate.cases import Call, Case, Prediction
from npc.feeling import Heart
from npc.knowledge import Embedder, KnowledgeIndex, VectorStore, read_passages
from npc.moment import Moment, grammar_of, remember, take_in
from npc.stages import LanguageModel, Retriever
from npc.state import Exchange, SessionState
from npc.tts import ClauseSplitter
from npc.turn import GenerationEnd, Grammar, TextPiece
from npc.world import Scene


class Respondent:
    """A cast of characters on one language model. Made by `prepare`."""

    def __init__(
        self,
        llm: LanguageModel,
        characters: Mapping[str, Character],
        retrievers: Mapping[str, Retriever],
        nominator: Nominator | None,
        knowledge: Knowledge,
        reply_words: int | None = None,
        temperature: float = 0.0,
        repetition_penalty: float = 1.0,
    ) -> None:
        """`reply_words`: after so many a reply ends with its sentence, as a session's does."""
        self._llm = llm
        self._characters = characters
        self._retrievers = retrievers
        self._nominator = nominator
        self._knowledge = knowledge
        self._reply_words = reply_words
        self._temperature, self._penalty = temperature, repetition_penalty

    @classmethod
    async def prepare(
        cls,
        llm: LanguageModel,
        characters: Collection[Character],
        embedder: Embedder,
        store: VectorStore,
        knowledge: Knowledge | None = None,
        nominates: bool = True,
        reply_words: int | None = None,
        temperature: float = 0.0,
        repetition_penalty: float = 1.0,
    ) -> "Respondent":
        """Index what the characters know. `nominates`: plain requests must be acted on, as in a session."""
        knowledge = knowledge or Knowledge()
        retrievers: dict[str, Retriever] = {}
        for character in characters:
            passages = read_passages(character.knowledge, character.folder)
            retrievers[character.id] = await KnowledgeIndex.build(passages, embedder, store, knowledge)
        nominator = None
        if nominates:
            actions = {action.name: action for character in characters for action in character.actions}
            nominator = await Nominator.build(actions.values(), embedder, store)
        cast = {character.id: character for character in characters}
        return cls(llm, cast, retrievers, nominator, knowledge, reply_words, temperature, repetition_penalty)

    async def respond(self, case: Case) -> Prediction:
        """Raises StageError when a stage fails."""
        character = self._characters[case.character]
        scene = case.scene or character.scene
        exchanges = case.exchanges
        before = exchanges[-1].player if exchanges else ""
        passages = await self._retrievers[character.id].retrieve(case.utterance, self._knowledge.n_passages, before)
        moment = _moment(character, scene, exchanges, case.utterance)
        grammar = await self._grammar(character, moment)
        messages = build_prompt(character, scene, exchanges, passages, case.utterance, (), moment.notes)
        sampling = replace(character.sampling, temperature=self._temperature, repetition_penalty=self._penalty, seed=0)
        parser = ReplyParser(character.actions, scene, expressions=character.expressions)
        clauses = ClauseSplitter()
        said, written, raw, calls = "", "", "", list[Call]()
        n_tokens = n_first = 0
        async with aclosing(self._llm.generate(messages, sampling, grammar)) as pieces:
            async for piece in pieces:
                is_last = True
                match piece:
                    case TextPiece(text, n):
                        n_tokens += n
                        raw += text
                        is_last = self._is_enough(raw)
                        parts = parser.push(text)
                    case GenerationEnd():
                        parts = parser.flush()
                for part in parts:
                    match part:
                        case Say(text):
                            said, written = said + text, written + text
                            has_clause = bool(clauses.push(text))
                        case Act(name, args):
                            calls.append(Call(name=name, args=dict(args)))
                            written += f" {render_call(name, args, character.actions)}"
                            has_clause = bool(clauses.flush())
                        case _:
                            has_clause = False
                    if has_clause and n_first == 0:
                        n_first = n_tokens
                if is_last:
                    break
        return Prediction(
            id=case.id,
            reply=" ".join(said.split()),
            actions=tuple(calls),
            written=" ".join(written.split()),
            passages=tuple(passage.text for passage in passages),
            n_first_clause_tokens=n_first or n_tokens,
            n_tokens=n_tokens,
        )

    async def respond_all(self, cases: Sequence[Case], n_at_once: int = 4) -> AsyncGenerator[Prediction, None]:
        """In the order of `cases`; `n_at_once` of them share a batch."""
        room = asyncio.Semaphore(n_at_once)

        async def one(case: Case) -> Prediction:
            async with room:
                return await self.respond(case)

        tasks = [asyncio.create_task(one(case)) for case in cases]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _is_enough(self, written: str) -> bool:
        if self._reply_words is None or len(written.split()) < self._reply_words:
            return False
        return written.rstrip().endswith((".", "!", "?", "]"))

    async def _grammar(self, character: Character, moment: Moment) -> Grammar:
        nomination: Nomination | None = None
        if self._nominator is not None:
            nomination = await self._nominator.nominate(moment.text, character.actions, moment.scene)
        return grammar_of(character, moment, nomination)


def _moment(character: Character, scene: Scene, exchanges: Sequence[Exchange], utterance: str) -> Moment:
    """What the character perceives and feels, having heard what was said before: the notes in a session's prompt."""
    state = SessionState(scene, Heart.at_first(character.temper))
    for exchange in exchanges:
        take_in(character, state, scene, exchange.player, None, 0.0).settle(state)
        remember(state, exchange)
    return take_in(character, state, scene, utterance, None, 0.0)
