"""One reply in the making: utterance → transcript → passages → prompt → words → speech.

A reply is begun at the first pause, before the turn is sure. Until `commit`
nothing of it leaves and nothing is changed by it, so that cancelling its task
is all it takes to throw it away. Text and speech run side by side: the first
clause is spoken while the model writes the next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from npc.actions import Act, Piece, Rejected, ReplyParser, Say, compile_reply_grammar, render_call
from npc.anticipation import Anticipation
from npc.character import Character
from npc.config import Settings
from npc.events import PassagesEvent, PassageUsed, ReplyStarted, ServerEvent, TranscriptEvent
from npc.frames import AudioFrame
from npc.outbox import Outbox
from npc.profile import Trace
from npc.stages import Stages
from npc.state import SessionState
from npc.timeline import Timeline
from npc.tts import ClauseSplitter
from npc.turn import ActionCall, ChatMessage, GenerationEnd, Grammar, Passage, Transcript

log = logging.getLogger(__name__)

Line = str | ActionCall
"""What the writer hands to the speaker: a clause to say or an action to take."""

MAX_HELD_FRAMES = 100
"""Audio made ahead of the commit; more would be work thrown away if the player goes on."""


class Reply:
    def __init__(
        self,
        turn: int,
        character: Character,
        anticipation: Anticipation,
        stages: Stages,
        settings: Settings,
        state: SessionState,
        trace: Trace,
        outbox: Outbox,
        *,
        is_spoken: bool,
        is_eager: bool = True,
    ) -> None:
        self.turn = turn
        self.trace = trace
        self.timeline = Timeline(turn, stages.synthesiser.rate_hz)
        self.player_text = ""
        """What is answered; empty until it was recognised, and where nothing was said."""
        self.n_pieces = 0
        """How much was written: pieces of text, a token each or a few."""
        self._character = character
        self._anticipation = anticipation
        self._stages = stages
        self._settings = settings
        self._state = state
        self._outbox = outbox
        self._is_spoken = is_spoken
        self.is_eager = is_eager
        self._n_actions = 0
        self._is_committed = False
        self._committed = asyncio.Event()
        self._held: list[ServerEvent | AudioFrame] = []
        self._on_commit: list[Callable[[], None]] = []

    def commit(self) -> None:
        """The turn is over: what is ready leaves now, the rest as it comes."""
        self._is_committed = True
        for act in self._on_commit:
            act()
        for item in self._held:
            self._outbox.put(item)
        self._held.clear()
        self._committed.set()

    async def run(self, listen: Callable[[], Awaitable[Transcript]] | None, typed: str = "") -> None:
        """Answer what `listen` understands and what was typed. Ends without a reply when both are empty.

        One that is not eager goes no further than to understand before it is committed. Raises StageError when a
        stage fails.
        """
        said = "" if listen is None else await self._recognise(listen)
        if not self.is_eager:
            await self._committed.wait()
        self.player_text = " ".join(filter(None, (said, typed)))
        if not self.player_text:
            return
        self._emit(ReplyStarted(turn=self.turn))
        passages, grammar = await asyncio.gather(self._look_up(), self._allow())
        messages = self._anticipation.prompt(self.player_text, passages)
        self._when_committed(self._state.outcomes.clear)
        lines: asyncio.Queue[Line | None] = asyncio.Queue()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(messages, grammar, lines))
                tasks.create_task(self._perform(lines))
        except* Exception as errors:  # the first failure cancelled the other task
            raise _first(errors) from None

    async def _recognise(self, listen: Callable[[], Awaitable[Transcript]]) -> str:
        with self.trace.span("asr") as attributes:
            transcript = await listen()
            attributes |= {"audio_ms": round(transcript.audio_ms), "window": transcript.window}
        self._emit(TranscriptEvent(turn=self.turn, text=transcript.text, is_final=True))
        return transcript.text

    async def _look_up(self) -> tuple[Passage, ...]:
        with self.trace.span("retrieve"):
            passages = await self._anticipation.look_up(self.player_text)
        used = tuple(PassageUsed(file=p.file, heading=p.heading, text=p.text, score=p.score) for p in passages)
        self._emit(PassagesEvent(turn=self.turn, passages=used))
        return passages

    async def _allow(self) -> Grammar:
        """The grammar of this reply: what the player plainly asks for must be done, anything else may be."""
        actions, scene = self._character.actions, self._state.scene
        nomination = await self._anticipation.nominate(self.player_text)
        if nomination is None:
            return compile_reply_grammar(actions, scene)
        return compile_reply_grammar(actions, scene, "required", nomination.names, nomination.targets)

    async def _write(self, messages: list[ChatMessage], grammar: Grammar, lines: asyncio.Queue[Line | None]) -> None:
        """Turn the model's stream into clauses and calls."""
        parser = ReplyParser(self._character.actions, self._state.scene)
        clauses = ClauseSplitter()
        start_ms = self.trace.now_ms()
        first_piece_ms: float | None = None
        is_first = True

        def put(line: Line) -> None:
            nonlocal is_first
            if isinstance(line, str):
                line = line.strip()
                if not line:
                    return
            if is_first:
                self.trace.add("first_clause", first_piece_ms or start_ms, self.trace.now_ms())
                is_first = False
            lines.put_nowait(line)

        def take(pieces: list[Piece]) -> None:
            for piece in pieces:
                match piece:
                    case Say(text):
                        for clause in clauses.push(text):
                            put(clause)
                    case Act(name, args):
                        for clause in clauses.flush():
                            put(clause)
                        self._n_actions += 1
                        put(ActionCall(f"{self.turn}.{self._n_actions}", name, args))
                    case Rejected(reason=reason):
                        log.warning("turn %d: a call that is not legal was left out: %s", self.turn, reason)

        end: GenerationEnd | None = None
        written = ""
        async with aclosing(self._stages.llm.generate(messages, self._character.sampling, grammar)) as stream:
            async for part in stream:
                if isinstance(part, GenerationEnd):
                    end = part
                    break
                if first_piece_ms is None:
                    first_piece_ms = self.trace.now_ms()
                take(parser.push(part.text))
                self.n_pieces += 1
                written += part.text
                if _has_said_enough(written, self._settings.llm.reply_words):
                    break
        self._trace_generation(end, start_ms, first_piece_ms or self.trace.now_ms())
        take(parser.flush())
        for clause in clauses.flush():
            put(clause)
        lines.put_nowait(None)

    def _trace_generation(self, end: GenerationEnd | None, start_ms: float, first_ms: float) -> None:
        """`end` is None where the reply was cut short; the engine has then not told how it got there."""
        if end is None:
            self.trace.add("prefill", start_ms, first_ms)
            self.trace.add("write", first_ms, self.trace.now_ms())
            return
        prefilled_ms = min(start_ms + end.prefill_ms, first_ms)
        self.trace.add(
            "prefill", start_ms, prefilled_ms, n_prompt_tokens=end.n_prompt_tokens, n_cached_tokens=end.n_cached_tokens
        )
        self.trace.add("first_token", prefilled_ms, first_ms)
        self.trace.add(
            "write",
            first_ms,
            self.trace.now_ms(),
            n_tokens=end.n_generated_tokens,
            n_steps=end.n_steps,
            n_drafted_tokens=end.n_drafted_tokens,
            n_accepted_tokens=end.n_accepted_tokens,
        )

    async def _perform(self, lines: asyncio.Queue[Line | None]) -> None:
        """Lay clauses and calls on the timeline, as they come."""
        while (line := await lines.get()) is not None:
            if isinstance(line, ActionCall):
                self._act(line)
            elif self._is_spoken:
                await self._say(line)
            else:
                self._emit(self.timeline.write(line))
        if self._is_spoken:
            self._emit(self.timeline.end())

    async def _say(self, clause: str) -> None:
        is_first = self.timeline.n_samples == 0
        start_ms = self.trace.now_ms()
        async with aclosing(self._stages.synthesiser.speak(clause, self._character.voice)) as parts:
            async for speech in parts:
                if is_first:
                    self.trace.add("tts", start_ms, self.trace.now_ms())
                    is_first = False
                for item in self.timeline.speak(speech):
                    await self._room()
                    self._emit(item)

    def _act(self, call: ActionCall) -> None:
        rendered = render_call(call.name, call.args, self._character.actions)
        self._emit(self.timeline.act(call, rendered))
        self._when_committed(lambda: self._state.open_action(call.id, rendered))

    def _emit(self, item: ServerEvent | AudioFrame) -> None:
        if self._is_committed:
            self._outbox.put(item)
        else:
            self._held.append(item)

    async def _room(self) -> None:
        """Wait while enough audio is held or queued."""
        if not self._is_committed and len(self._held) >= MAX_HELD_FRAMES:
            await self._committed.wait()
        if self._is_committed:
            await self._outbox.room()

    def _when_committed(self, act: Callable[[], None]) -> None:
        if self._is_committed:
            act()
        else:
            self._on_commit.append(act)


def _has_said_enough(written: str, n_words: int) -> bool:
    """A reply that is long enough ends with its sentence, whatever the model would add."""
    return written.rstrip().endswith((".", "!", "?", "]")) and len(written.split()) >= n_words


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    """One of the leaves: a reply has one failure to tell of."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, Exception):
        raise error
    return error
