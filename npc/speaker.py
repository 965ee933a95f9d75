"""What the character says: a reply begun, held back, committed, hushed, broken off, remembered.

The counterpart of `npc.listener`. One reply at a time is in the making or being
heard; a reply that was not committed leaves no trace but in the accounts.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from npc.errors import NpcError
from npc.events import ErrorEvent, ReplyEnded, ReplyHushed, ReplyResumed, SpeechStopped, TurnMetrics
from npc.frames import AudioFrame
from npc.moment import remember
from npc.performance import Performance
from npc.profile import Trace
from npc.reply import Company, Heard, Reply
from npc.state import Exchange

log = logging.getLogger(__name__)


class Speaker:
    """`on_over` is called when a reply has come to its end and will not be taken up again."""

    def __init__(self, company: Company, tasks: asyncio.TaskGroup, on_over: Callable[[], None]) -> None:
        self._company = company
        self._turn_taking = company.character.turn_taking(company.settings.turn_taking)
        self._state = company.state
        self._outbox = company.outbox
        self._deeds = company.deeds
        self._tasks = tasks
        self._on_over = on_over
        self._performance: Performance | None = None
        self._unheard: Performance | None = None
        """Broken off before it was heard, since the player went on: what it answered is answered with the next."""
        self._following: asyncio.Task[None] | None = None
        """Commits the actions that playback reaches."""
        self._thrown_away: list[Reply] = []
        """Replies to this turn that were begun at a pause after which the player went on."""

    @property
    def has_begun(self) -> bool:
        """A reply is in the making or being heard."""
        return self._performance is not None

    @property
    def is_playing(self) -> bool:
        """A reply was committed and is not over."""
        return self._performance is not None and self._performance.is_committed

    @property
    def is_hushed(self) -> bool:
        return self._performance is not None and self._performance.is_hushed

    @property
    def _may_speculate(self) -> bool:
        settings = self._turn_taking
        return settings.speculates and len(self._company.stages.demand) < settings.speculates_beside

    @property
    def heard_samples(self) -> int:
        """Of the reply that is playing."""
        return 0 if self._performance is None else self._performance.heard_samples

    @property
    def unheard_from(self) -> int | None:
        """The microphone's sample at which the speech begins that an unheard reply was to answer."""
        return None if self._unheard is None else self._unheard.spoken_from

    def begin(self, heard: Heard | None, spoken_from: int | None, typed: str, last_input_ms: float) -> None:
        """Start a reply to what was `heard` (spoken since that sample) and what was typed; it is held back."""
        self.discard()
        if self._unheard is not None:
            typed = f"{self._unheard.typed} {typed}".strip()
        trace = Trace(self._company.clock, last_input_ms)
        if spoken_from is not None:
            trace.add("vad", 0, trace.now_ms())
        reply = Reply(self._company, trace, is_eager=self._may_speculate)
        task = self._tasks.create_task(self._perform(reply, heard, typed))
        # A task that is cancelled before its first step runs no line of the reply's own.
        task.add_done_callback(lambda _: self._company.stages.demand.discard(reply))
        self._performance = Performance(
            reply,
            task,
            self._deeds,
            self._company.clock,
            spoken_from=spoken_from,
            typed=typed,
            is_spoken=self._company.is_spoken,
        )

    def commit(self) -> None:
        """The player's turn is over: what is ready leaves at once."""
        performance = self._performance
        if performance is None or performance.is_committed:
            return
        self._unheard = None
        performance.account_for(self._thrown_away)
        self._thrown_away.clear()
        if performance.spoken_from is not None:
            trace = performance.reply.trace
            trace.add("endpoint", 0, trace.now_ms())
            self._outbox.put(SpeechStopped(turn=performance.reply.turn))
        performance.commit()
        self._following = self._tasks.create_task(performance.follow())

    def discard(self) -> None:
        """Throw away a reply that was not committed."""
        if self._performance is not None and not self._performance.is_committed:
            self._performance.task.cancel()
            self._thrown_away.append(self._performance.reply)
            self._performance = None

    def hush(self) -> None:
        """Fall silent for a moment: the player may want to say something."""
        if self._performance is not None and self._performance.is_committed and not self._performance.is_hushed:
            self._performance.hush()
            self._outbox.hold_audio()
            self._outbox.put(ReplyHushed(turn=self._performance.reply.turn, sample=self._performance.heard_samples))

    def go_on(self) -> None:
        """It was nothing: take the reply up where it fell silent."""
        if self._performance is not None and self._performance.is_hushed:
            self._performance.go_on()
            self._outbox.release_audio()
            self._outbox.put(ReplyResumed(turn=self._performance.reply.turn))

    def interrupt(self, *, goes_on: bool) -> None:
        """Break the reply off; only what was heard and done of it is remembered.

        A player who `goes_on` before anything was heard is answered to everything at once.
        """
        performance = self._performance
        if performance is None or not performance.is_committed:
            return
        performance.task.cancel()
        if goes_on and performance.is_unheard:
            self._unheard = performance
        self._finish(performance, "interrupted")

    def report(self, turn: int, sample: int) -> None:
        """The client says how far the reply of `turn` was heard."""
        if self.is_playing and self._performance is not None and self._performance.reply.turn == turn:
            self._performance.report(sample)

    def sent(self, frame: AudioFrame) -> TurnMetrics | None:
        """A frame is about to leave; the turn's metrics when it is the reply's last."""
        return None if self._performance is None else self._performance.sent(frame)

    def stop(self) -> None:
        """The session ends: what was heard is remembered, and what was not begun will not be."""
        self.discard()
        self._on_over = lambda: None
        self.interrupt(goes_on=False)
        self._deeds.cancel_all("the session has ended")

    async def _perform(self, reply: Reply, heard: Heard | None, typed: str) -> None:
        """Make the reply, wait until it was heard, and remember it."""
        error: ErrorEvent | None = None
        try:
            await reply.run(heard, typed)
        except NpcError as failed:
            error = ErrorEvent(code=failed.code, message=str(failed), turn=reply.turn)
        except Exception:
            log.exception("turn %d failed", reply.turn)
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
            self._stop_following()
            self._on_over()
        else:
            if not self._company.is_spoken:
                self._outbox.put(performance.metrics())
            await performance.wait_until_heard()
            self._finish(performance, "done")

    def _finish(self, performance: Performance, reason: Literal["done", "interrupted", "failed"]) -> None:
        """Tell how the reply ended, and remember what was heard of it."""
        self._performance = None
        self._stop_following()
        reply, timeline = performance.reply, performance.reply.timeline
        if reason == "done":
            n_samples, until = timeline.n_samples, None
            self._deeds.advance(reply.turn, n_samples)
        else:
            n_samples = performance.heard_samples
            until = n_samples if self._company.is_spoken else None
            performance.commit_reached()
            self._deeds.cancel(reply.turn, "the turn failed" if reason == "failed" else "the player spoke")
            self._outbox.drop_audio(reply.turn)
        text = timeline.told(self._deeds.is_kept, until)
        self._outbox.release_audio()
        is_continued = self._unheard is performance
        self._outbox.put(
            ReplyEnded(turn=reply.turn, reason=reason, text=text, n_samples=n_samples, continued=is_continued)
        )
        if not is_continued:
            if text:
                remember(self._state, Exchange(player=reply.player_text, npc=text))
            self._on_over()

    def _stop_following(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None
