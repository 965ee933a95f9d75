"""One reply in the making: utterance → transcript → what is known and felt → prompt → words, deeds and speech.

A reply is begun at the first pause, before the turn is sure. Until `commit`
nothing of it leaves and nothing is changed by it, so that cancelling its task
is all it takes to throw it away. Writer and actor run side by side: the first
clause is spoken while the model writes the next.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from npc.actor import Actor
from npc.anticipation import Anticipation
from npc.character import Character
from npc.clock import Clock
from npc.config import Settings
from npc.curtain import Curtain
from npc.deeds import Deeds, feeling_event
from npc.events import FaceChoice, PassagesEvent, PassageUsed, ReplyStarted, TranscriptEvent
from npc.moment import Moment
from npc.outbox import Outbox
from npc.profile import Trace
from npc.second_thought import Trouble, second_thought
from npc.stages import Stages
from npc.state import SessionState
from npc.timeline import Timeline
from npc.turn import ChatMessage, Grammar, Passage, Samples, Transcript
from npc.writer import Lines, Writer

MAX_SECOND_THOUGHTS = 2
"""How often a reply may go on after an awaited action came to nothing, or a promise was left open."""


@dataclass(frozen=True, slots=True)
class Company:
    """What the parts of one session work with."""

    character: Character
    anticipation: Anticipation
    stages: Stages
    settings: Settings
    state: SessionState
    deeds: Deeds
    outbox: Outbox
    clock: Clock
    is_spoken: bool = True
    face: FaceChoice = "none"


@dataclass(frozen=True, slots=True)
class Heard:
    """How to get at what the player said."""

    words: Callable[[], Awaitable[Transcript]]
    voice: Callable[[], Samples]
    """[n] at 16 kHz."""


class Reply:
    def __init__(self, company: Company, trace: Trace, *, is_eager: bool = True) -> None:
        state = company.state
        self.turn = state.n_turns
        self.trace = trace
        self.timeline = Timeline(self.turn, company.stages.synthesiser.rate_hz)
        self.is_eager = is_eager
        self.player_text = ""
        """What is answered; empty until it was recognised, and where nothing was said."""
        self._is_made = False
        self._company = company
        self._curtain = Curtain(company.outbox)
        self._writer = Writer(company.character, company.stages.llm, trace, company.settings.llm.reply_words)

    @property
    def n_pieces(self) -> int:
        """How much was written: pieces of text, a token each or a few."""
        return self._writer.n_pieces

    @property
    def went_ahead(self) -> bool:
        """It has got further than recognition, and did not have to wait for the end of the turn there."""
        return self.is_eager and self.trace.end_of("asr") is not None

    def commit(self) -> None:
        """The turn is over: what is ready leaves now, the rest as it comes."""
        if not self._is_made:
            self._company.stages.demand.add(self)
        self._curtain.rise()

    async def run(self, heard: Heard | None, typed: str = "") -> None:
        """Answer what was `heard` and what was typed. Ends without a reply when both are empty.

        One that is not eager goes no further than to understand before it is committed. Raises StageError when a
        stage fails.
        """
        try:
            await self._make(heard, typed)
        finally:
            self._is_made = True
            self._company.stages.demand.discard(self)

    async def _make(self, heard: Heard | None, typed: str) -> None:
        said = "" if heard is None else await self._recognise(heard)
        if not self.is_eager:
            await self._curtain.wait()
        self.player_text = " ".join(filter(None, (said, typed)))
        if not self.player_text:
            return
        self._curtain.put(ReplyStarted(turn=self.turn))
        voice = None if heard is None or not said else heard.voice()
        passages, (moment, grammar) = await asyncio.gather(self._look_up(), self._take_in(voice))
        self._settle(moment)
        await self._perform(await self._company.anticipation.prompt(moment, passages), grammar, moment)

    async def _recognise(self, heard: Heard) -> str:
        with self.trace.span("asr") as attributes:
            transcript = await heard.words()
            attributes |= {"audio_ms": round(transcript.audio_ms), "window": transcript.window}
        self._curtain.put(TranscriptEvent(turn=self.turn, text=transcript.text, is_final=True))
        return transcript.text

    async def _look_up(self) -> tuple[Passage, ...]:
        with self.trace.span("retrieve"):
            passages = await self._company.anticipation.look_up(self.player_text)
        used = tuple(PassageUsed(file=p.file, heading=p.heading, text=p.text, score=p.score) for p in passages)
        self._curtain.put(PassagesEvent(turn=self.turn, passages=used))
        return passages

    async def _take_in(self, voice: Samples | None) -> tuple[Moment, Grammar]:
        """What the player's words do to the character, and what it may do."""
        anticipation = self._company.anticipation
        moment = await anticipation.take_in(self.player_text, voice)
        nomination = await anticipation.nominate(moment)
        if nomination is not None and nomination.hindrance:
            moment = moment.hindered(nomination.hindrance)
        return moment, await anticipation.grammar(moment, nomination)

    def _settle(self, moment: Moment) -> None:
        def settle() -> None:
            event = feeling_event(self.turn, self._company.state.heart.feeling, moment.heart.feeling)
            moment.settle(self._company.state)
            if event is not None:
                self._company.outbox.put(event)

        self._curtain.do(settle)

    async def _perform(self, messages: list[ChatMessage], grammar: Grammar, moment: Moment) -> None:
        company = self._company
        actor = Actor(
            company.character,
            moment,
            self.timeline,
            company.stages.synthesiser,
            self._curtain,
            company.deeds,
            self.trace,
            is_spoken=company.is_spoken,
            face=company.face,
        )
        script = messages
        for n_left in range(MAX_SECOND_THOUGHTS, -1, -1):
            trouble = await self._play(actor, script, grammar, moment)
            if trouble is None or not n_left:
                break
            told, grammar = second_thought(company.character, moment, trouble)
            said = ChatMessage("assistant", self.timeline.told(company.deeds.is_kept))
            script = [*messages, said, ChatMessage("user", told)]
        if company.is_spoken:
            self._curtain.put(self.timeline.end())

    async def _play(self, actor: Actor, script: list[ChatMessage], grammar: Grammar, moment: Moment) -> Trouble | None:
        """Write and play side by side; what has to be thought over, if anything has."""
        lines: Lines = asyncio.Queue()
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._writer.write(script, grammar, moment, lines))
                failed = await actor.play(lines)
                if failed is not None:
                    writing.cancel()  # what it would have said rests on what did not happen
        except* Exception as errors:  # the first failure cancelled the other side
            raise _first(errors) from None
        return failed or writing.result()


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    """One of the leaves: a reply has one failure to tell of."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, Exception):
        raise error
    return error
