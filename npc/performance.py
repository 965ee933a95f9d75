"""A reply from its first thought to its last sample in the player's ear.

Where a `Reply` is the making, this is the playing: when it was committed, when
its audio left, how far it was heard. Without reports from the client, playback
is taken to run in real time from the moment when the first frame was sent.
"""

import asyncio
from collections.abc import Sequence

from npc.clock import Clock
from npc.events import SpanReport, Speculation, TurnMetrics
from npc.frames import AudioFrame
from npc.reply import Reply

REPORT_GRACE_MS = 5_000
"""A client that reports where playback is may fall this far behind real time before it is no longer waited for."""


class Performance:
    def __init__(
        self, reply: Reply, task: asyncio.Task[None], clock: Clock, *, spoken_from: int | None, typed: str
    ) -> None:
        self.reply = reply
        self.task = task
        """Makes the reply and sees it through; cancelling it is all it takes to stop."""
        self.spoken_from = spoken_from
        """The microphone's sample that the player's words start at; None where they were typed."""
        self.typed = typed
        self._clock = clock
        self._committed = asyncio.Event()
        self._moved = asyncio.Event()
        self._first_sent_ms: float | None = None
        self._hushed_at_ms: float | None = None
        self._hushed_ms = 0.0
        self._reported: int | None = None
        self._speculation: Speculation | None = None

    @property
    def is_committed(self) -> bool:
        return self._committed.is_set()

    def commit(self) -> None:
        """The player's turn is over: the reply may be heard."""
        self.reply.commit()
        self._committed.set()

    def account_for(self, thrown_away: Sequence[Reply]) -> None:
        """Replies to the same turn that were begun before this one, in vain. To be told before `commit`."""
        trace = self.reply.trace
        now_ms = trace.now_ms()
        heard_ms, ready_ms = trace.end_of("asr"), trace.end_of("tts") or now_ms
        saved_ms = ready_ms - heard_ms if self.reply.is_eager and heard_ms is not None else 0.0
        self._speculation = Speculation(
            n_thrown_away=len(thrown_away),
            n_tokens_thrown_away=sum(reply.n_pieces for reply in thrown_away),
            audio_ms_thrown_away=round(sum(reply.timeline.duration_ms for reply in thrown_away)),
            saved_ms=round(max(0.0, saved_ms), 1),
        )

    async def wait_until_committed(self) -> None:
        await self._committed.wait()

    def sent(self, frame: AudioFrame) -> TurnMetrics | None:
        """A frame is about to leave; the turn's metrics when it is the last one."""
        if frame.turn != self.reply.turn:
            return None
        trace = self.reply.trace
        if self._first_sent_ms is None and frame.pcm:
            self._first_sent_ms = self._clock.now_ms()
            trace.add("audio_out", trace.end_of("tts") or trace.now_ms(), trace.now_ms())
            self._moved.set()
        return self.metrics() if frame.is_last else None

    @property
    def is_hushed(self) -> bool:
        return self._hushed_at_ms is not None

    def hush(self) -> None:
        """Playback stands still from now on."""
        self._hushed_at_ms = self._clock.now_ms()

    def go_on(self) -> None:
        """Playback goes on where it stood."""
        if self._hushed_at_ms is not None:
            self._hushed_ms += self._clock.now_ms() - self._hushed_at_ms
            self._hushed_at_ms = None
            self._moved.set()

    @property
    def _played_ms(self) -> float:
        """How long the reply has been playing, silences left out."""
        if self._first_sent_ms is None:
            return 0.0
        now_ms = self._clock.now_ms() if self._hushed_at_ms is None else self._hushed_at_ms
        return max(0.0, now_ms - self._first_sent_ms - self._hushed_ms)

    def report(self, sample: int) -> None:
        """The client says that playback has reached `sample`."""
        self._reported = max(sample, self._reported or 0)
        self._moved.set()

    @property
    def heard_samples(self) -> int:
        """How much of the reply has reached the player's ear."""
        if self._reported is not None:
            return min(self._reported, self.reply.timeline.n_samples)
        return min(int(self._played_ms * self.reply.timeline.rate_hz / 1000), self.reply.timeline.n_samples)

    async def wait_until_heard(self) -> None:
        """Return when playback has reached the end of all that was said."""
        n_samples = self.reply.timeline.n_samples
        while self.heard_samples < n_samples:
            self._moved.clear()
            wait_ms = self._until_given_up_ms(n_samples)
            if wait_ms is not None and wait_ms <= 0:
                return
            try:
                async with asyncio.timeout(None if wait_ms is None else wait_ms / 1000):
                    await self._moved.wait()
            except TimeoutError:
                pass

    def _until_given_up_ms(self, n_samples: int) -> float | None:
        """How long to wait for a sign of life; None before the first frame has left, and while hushed."""
        if self._first_sent_ms is None or self.is_hushed:
            return None
        grace_ms = 0 if self._reported is None else REPORT_GRACE_MS
        return n_samples * 1000 / self.reply.timeline.rate_hz + grace_ms - self._played_ms

    def metrics(self) -> TurnMetrics:
        """Where the time went; voice to voice ends when the first sample leaves."""
        spans = sorted(self.reply.trace.spans, key=lambda span: (span.start_ms, span.end_ms))
        audio_out_ms = self.reply.trace.end_of("audio_out")
        return TurnMetrics(
            turn=self.reply.turn,
            voice_to_voice_ms=None if self.spoken_from is None else audio_out_ms,
            speculation=None if self.spoken_from is None else self._speculation,
            spans=tuple(
                SpanReport(
                    name=span.name,
                    start_ms=round(span.start_ms, 1),
                    end_ms=round(span.end_ms, 1),
                    attributes=dict(span.attributes),
                )
                for span in spans
            ),
        )
