"""One conversation: what a player says and does comes in, a character's performance goes out.

    hear, handle → inbox → ear ─ pause ──→ Reply (held back)
                             ├─ resumed ─→ thrown away
                             └─ turn over → commit → outbox → next

A session owns its tasks and its state. `hear` and `handle` never wait; `next`
gives what is to be sent. A stage that fails ends the turn, not the session.
"""

import asyncio
import contextlib
import logging
import uuid
from typing import Literal

from npc.clock import Clock
from npc.config import Settings
from npc.ear import Ear
from npc.errors import InputError, NpcError
from npc.events import (
    ActionResult,
    ClientEvent,
    ErrorEvent,
    Interrupt,
    Playback,
    PlayerText,
    ReplyEnded,
    SceneUpdate,
    ServerEvent,
    SessionEnd,
    SessionReady,
    SessionStart,
    SpeechEnd,
    SpeechStart,
    SpeechStarted,
    SpeechStopped,
    TranscriptEvent,
)
from npc.frames import AudioFrame
from npc.mind import Mind
from npc.outbox import Outbox
from npc.outbox import OutboxClosed as SessionClosed
from npc.performance import Performance
from npc.profile import Trace
from npc.reply import Reply
from npc.stages import Stages
from npc.state import Exchange, SessionState
from npc.turn import Samples
from npc.turntaking import DetectorEvent, Paused, Resumed, TurnEnded, TurnStarted

__all__ = ["Session", "SessionClosed"]

log = logging.getLogger(__name__)

MAX_QUEUED_FRAMES = 64
"""Reply audio that waits for the connection: about four seconds, so that a slow client stops only its own reply."""


class Session:
    def __init__(self, start: SessionStart, mind: Mind, stages: Stages, settings: Settings, clock: Clock) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.state = SessionState(scene=start.scene or mind.character.scene)
        self._start = start
        self._mind = mind
        self._stages = stages
        self._settings = settings
        self._clock = clock
        self._turn_taking = mind.character.turn_taking(settings.turn_taking)
        self._ear = Ear(start.audio, stages.voice_activity.open(), self._turn_taking, clock.now_ms())
        self._inbox: asyncio.Queue[tuple[bytes, float] | ClientEvent] = asyncio.Queue()
        self._outbox = Outbox(MAX_QUEUED_FRAMES)
        self._closing = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._performance: Performance | None = None
        self._partials: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._is_turn_open = False
        self._turn_start_sample = 0
        self._speech_start_sample = 0
        self._unheard: Performance | None = None
        """Broken off before it was heard, since the player went on: what it answered is answered with the next."""

    @property
    def ready(self) -> SessionReady:
        character = self._mind.character
        return SessionReady(
            session=self.id,
            character=character.id,
            name=character.name,
            voice=character.voice.name,
            rate_hz=self._stages.synthesiser.rate_hz,
        )

    def hear(self, pcm: bytes) -> None:
        """Microphone audio in the session's format. Raises InputError (`bad-audio`)."""
        self._ear.check(pcm)
        self._inbox.put_nowait((pcm, self._clock.now_ms()))

    def handle(self, event: ClientEvent) -> None:
        """Anything that a client says after `session-start`. Raises InputError."""
        match event:
            case SessionStart():
                raise InputError("the session has started; open another connection for another one", "already-started")
            case ActionResult(action=action, outcome=outcome, reason=reason):
                self.state.close_action(action, outcome, reason)
            case Playback(turn=turn, sample=sample):
                if self._performance is not None and self._performance.reply.turn == turn:
                    self._performance.report(sample)
            case SessionEnd():
                self.close()
            case _:
                self._inbox.put_nowait(event)

    async def next(self) -> ServerEvent | AudioFrame:
        """What to send next. Raises SessionClosed at the end."""
        item = await self._outbox.take()
        if isinstance(item, AudioFrame) and self._performance is not None:
            metrics = self._performance.sent(item)
            if metrics is not None:
                self._outbox.put(metrics)
        return item

    def close(self) -> None:
        self._closing.set()

    async def run(self) -> None:
        """Live until `close`; cancel to end at once."""
        try:
            async with self._tasks:
                attending = self._tasks.create_task(self._attend())
                self._read_ahead()
                await self._closing.wait()
                self._stop_partials()
                if self._performance is not None:
                    self._performance.task.cancel()
                if self._reading is not None:
                    self._reading.cancel()
                attending.cancel()
        finally:
            self._outbox.close()

    async def _attend(self) -> None:
        while True:
            match await self._inbox.get():
                case (pcm, arrival_ms):
                    async for events in self._ear.hear(pcm, arrival_ms):
                        self._on_heard(events)
                        self._yield_floor()
                case PlayerText(text=text):
                    self._on_text(text)
                case SpeechStart():
                    self._interrupt(goes_on=True)
                    self._on_heard(self._ear.detector.hold())
                case SpeechEnd():
                    self._on_heard(self._ear.detector.end_now())
                case SceneUpdate(scene=scene):
                    self.state.scene = scene
                    self._read_ahead()
                case Interrupt():
                    self._interrupt(goes_on=False)

    # Hearing

    def _on_heard(self, events: tuple[DetectorEvent, ...]) -> None:
        for event in events:
            match event:
                case TurnStarted(speech_start_sample=start_sample):
                    self._speech_start_sample = start_sample
                    if not self._is_playing:
                        self._open_turn()
                case Paused(speech_end_sample=end_sample) if self._is_turn_open:
                    self._begin_heard(end_sample)
                case Resumed() if self._is_turn_open:
                    self._discard()
                    self._show_partials()
                case TurnEnded(speech_end_sample=end_sample):
                    if self._is_turn_open:
                        if self._performance is None:  # no pause came first: push-to-talk, or the longest utterance
                            self._begin_heard(end_sample)
                        self._commit()
                case _:
                    pass  # a sound over a reply, too short to interrupt it

    def _yield_floor(self) -> None:
        """Whoever speaks over a reply gets the floor once it has lasted: a cough or an "mm-hm" does not interrupt."""
        detector = self._ear.detector
        if not detector.is_in_turn or self._is_turn_open:
            return
        if self._performance is not None and self._is_playing:
            # What nobody has heard yet cannot be coughed over: the player just went on speaking.
            needed_ms = self._turn_taking.barge_in_ms if self._performance.heard_samples else 0
            if detector.is_paused or detector.speech_ms < needed_ms:
                return
            self._interrupt(goes_on=True)
        self._open_turn()

    def _open_turn(self) -> None:
        """The player has the floor."""
        self._discard()
        self._is_turn_open = True
        earlier = self._unheard_from
        self._turn_start_sample = self._speech_start_sample if earlier is None else earlier
        self._ear.keep()
        self.state.n_turns += 1
        self._outbox.put(SpeechStarted(turn=self.state.n_turns))
        self._show_partials()
        self._read_ahead()

    def _on_text(self, text: str) -> None:
        """Typed words are a turn of their own, or join what is just being said."""
        if self._is_turn_open:
            self._ear.detector.end_now()
            spoken_from: int | None = self._turn_start_sample
        else:
            self._interrupt(goes_on=True)
            self.state.n_turns += 1
            spoken_from = self._unheard_from
        self._begin(spoken_from, text, self._clock.now_ms())
        self._commit()

    def _show_partials(self) -> None:
        self._stop_partials()
        self._partials = self._tasks.create_task(self._transcribe_partials())

    def _stop_partials(self) -> None:
        if self._partials is not None:
            self._partials.cancel()
            self._partials = None

    async def _transcribe_partials(self) -> None:
        """Show what is being understood, while the player speaks."""
        turn = self.state.n_turns
        shown = ""
        while True:
            await asyncio.sleep(self._settings.recognition.partial_every_ms / 1000)
            audio = self._ear.utterance(self._turn_start_sample)
            try:
                transcript = await self._stages.recogniser.transcribe(audio, is_final=False)
            except NpcError as error:
                log.warning("session %s: partial transcript failed: %s", self.id, error)
                return
            if transcript.text and transcript.text != shown:
                shown = transcript.text
                self._outbox.put(TranscriptEvent(turn=turn, text=shown, is_final=False))

    # Answering

    @property
    def _unheard_from(self) -> int | None:
        """Where the speech begins that an unheard reply was to answer."""
        return None if self._unheard is None else self._unheard.spoken_from

    @property
    def _is_playing(self) -> bool:
        return self._performance is not None and self._performance.is_committed

    def _begin_heard(self, speech_end_sample: int) -> None:
        self._begin(self._turn_start_sample, "", self._ear.arrival_ms(speech_end_sample))

    def _begin(self, spoken_from: int | None, typed: str, last_input_ms: float) -> None:
        """Start a reply to what was said since a sample of the microphone, and typed; nobody hears it yet."""
        self._stop_partials()
        self._discard()
        if self._unheard is not None:
            typed = f"{self._unheard.typed} {typed}".strip()
        trace = Trace(self._clock, last_input_ms)
        utterance = None
        if spoken_from is not None:
            utterance = self._ear.utterance(spoken_from)
            trace.add("vad", 0, trace.now_ms())
        reply = Reply(
            self.state.n_turns,
            self._mind,
            self._stages,
            self._settings,
            self.state,
            trace,
            self._outbox,
            is_spoken=self._start.reply == "speech",
        )
        task = self._tasks.create_task(self._perform(reply, utterance, typed))
        self._performance = Performance(reply, task, self._clock, spoken_from=spoken_from, typed=typed)

    def _commit(self) -> None:
        """The turn is over: what is ready leaves at once."""
        self._is_turn_open = False
        performance = self._performance
        if performance is None or performance.is_committed:
            return
        self._unheard = None
        if performance.spoken_from is not None:
            trace = performance.reply.trace
            trace.add("endpoint", 0, trace.now_ms())
            self._outbox.put(SpeechStopped(turn=performance.reply.turn))
        performance.commit()

    def _discard(self) -> None:
        """Throw away a reply that nobody has heard of."""
        if self._performance is not None and not self._performance.is_committed:
            self._performance.task.cancel()
            self._performance = None

    def _interrupt(self, *, goes_on: bool) -> None:
        """Break the reply off; only what was heard and done of it is remembered.

        A player who `goes_on` before anything was heard is answered to everything at once.
        """
        performance = self._performance
        if performance is None or not performance.is_committed:
            return
        performance.task.cancel()
        if goes_on and not performance.heard_samples:
            self._unheard = performance
        self._finish(performance, "interrupted")

    async def _perform(self, reply: Reply, utterance: Samples | None, typed: str) -> None:
        """Make the reply, wait until it was heard, and remember it."""
        error: ErrorEvent | None = None
        try:
            await reply.run(utterance, typed)
        except NpcError as failed:
            error = ErrorEvent(code=failed.code, message=str(failed), turn=reply.turn)
        except Exception:
            log.exception("session %s: turn %d failed", self.id, reply.turn)
            message = "the turn failed; the server's log says why"
            error = ErrorEvent(code="internal", message=message, turn=reply.turn)
        performance = self._performance
        if performance is None or performance.reply is not reply:
            return
        await performance.wait_until_committed()  # a failure that nobody asked for is nobody's business
        if error is not None:
            self._outbox.put(error)
            self._finish(performance, "failed")
        elif not reply.player_text:
            self._performance = None
            self._ear.forget()
        else:
            if self._start.reply == "text":
                self._outbox.put(performance.metrics())
            await performance.wait_until_heard()
            self._finish(performance, "done")

    def _finish(self, performance: Performance, reason: Literal["done", "interrupted", "failed"]) -> None:
        """Tell how the reply ended, and remember what was heard of it."""
        self._performance = None
        reply, timeline = performance.reply, performance.reply.timeline
        if reason == "done":
            text, n_samples = timeline.text, timeline.n_samples
        else:
            n_samples = performance.heard_samples
            text = timeline.until(n_samples)
            self._outbox.drop_audio(reply.turn)
        self._outbox.put(ReplyEnded(turn=reply.turn, reason=reason, text=text, n_samples=n_samples))
        if self._unheard is not performance:
            self._ear.forget()
            if text:
                self.state.remember(Exchange(player=reply.player_text, npc=text))
                self._read_ahead()

    def _read_ahead(self) -> None:
        """Have the model read what the next prompt will surely begin with."""
        if self._reading is None or self._reading.done():
            self._reading = self._tasks.create_task(self._read_opening())

    async def _read_opening(self) -> None:
        with contextlib.suppress(NpcError):  # the reply itself will say what is wrong
            await self._stages.llm.prefill(self._mind.opening(self.state))
