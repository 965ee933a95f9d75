"""A reply from its first thought to its last sample in the player's ear.

Where a `Reply` is the making, this is the playing: when it was committed, when
its audio left, how far it was heard, which of its actions playback reached.
Without reports from the client, playback is taken to run as a loudspeaker
would that plays each frame when it comes.
"""

import asyncio
from collections.abc import Sequence

from npc.clock import Clock
from npc.deeds import Deeds
from npc.events import SpanReport, Speculation, TurnMetrics
from npc.frames import AudioFrame
from npc.playhead import Playhead
from npc.reply import Reply

REPORT_GRACE_MS = 5_000
"""A client that reports where playback is may fall this far behind real time before it is no longer waited for."""


class Performance:
    def __init__(
        self,
        reply: Reply,
        task: asyncio.Task[None],
        deeds: Deeds,
        clock: Clock,
        *,
        spoken_from: int | None,
        typed: str,
        is_spoken: bool,
    ) -> None:
        self.reply = reply
        self.task = task
        """Makes the reply and sees it through; cancelling it is all it takes to stop."""
        self.spoken_from = spoken_from
        """The microphone's sample that the player's words start at; None where they were typed."""
        self.typed = typed
        self._deeds = deeds
        self._clock = clock
        self._is_spoken = is_spoken
        self._committed = asyncio.Event()
        self._moved = asyncio.Event()
        self._playhead = Playhead(reply.timeline.rate_hz)
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
        is_hit = self.reply.went_ahead
        saved_ms = ready_ms - heard_ms if is_hit and heard_ms is not None else 0.0
        self._speculation = Speculation(
            n_thrown_away=len(thrown_away),
            n_tokens_thrown_away=sum(reply.n_pieces for reply in thrown_away),
            audio_ms_thrown_away=round(sum(reply.timeline.duration_ms for reply in thrown_away)),
            saved_ms=round(max(0.0, saved_ms), 1),
            n_begun=is_hit + sum(reply.went_ahead for reply in thrown_away),
            is_hit=is_hit,
        )

    async def wait_until_committed(self) -> None:
        await self._committed.wait()

    # Playback

    def sent(self, frame: AudioFrame) -> TurnMetrics | None:
        """A frame is about to leave; the turn's metrics when it is the last one."""
        if frame.turn != self.reply.turn:
            return None
        if frame.pcm:
            if not self._playhead.has_begun:
                trace = self.reply.trace
                trace.add("audio_out", trace.end_of("tts") or trace.now_ms(), trace.now_ms())
            self._playhead.sent(frame.first_sample + len(frame.pcm) // 2, self._clock.now_ms())
            self._moved.set()
        return self.metrics() if frame.is_last else None

    @property
    def is_hushed(self) -> bool:
        return self._playhead.is_held

    def hush(self) -> None:
        """Playback stands still from now on."""
        self._playhead.hold(self._clock.now_ms())

    def go_on(self) -> None:
        """Playback goes on where it stood."""
        self._playhead.go_on(self._clock.now_ms())
        self._moved.set()

    def report(self, sample: int) -> None:
        """The client says that playback has reached `sample`."""
        self._reported = max(sample, self._reported or 0)
        self._moved.set()
        self.commit_reached()

    @property
    def has_begun(self) -> bool:
        """Something of it is being heard, or would be if there were anything to hear."""
        return self._playhead.has_begun or self._reported is not None or not self._is_spoken

    @property
    def heard_samples(self) -> int:
        """How much of the reply has reached the player's ear."""
        heard = self._playhead.at(self._clock.now_ms()) if self._reported is None else self._reported
        return min(heard, self.reply.timeline.n_samples)

    @property
    def is_unheard(self) -> bool:
        """The player knows nothing of it: no sound, no text and no action has reached them."""
        was_read = not self._is_spoken and bool(self.reply.timeline.text)
        return not (self.heard_samples or was_read or self._deeds.has_begun(self.reply.turn))

    async def wait_until_heard(self) -> None:
        """Return when playback has reached the end of all that was said."""
        await self._wait_until_at(self.reply.timeline.n_samples)

    async def follow(self) -> None:
        """Commit each action when playback gets to it; until cancelled."""
        while True:
            sample = self._deeds.next_sample(self.reply.turn)
            if sample is None:
                await self._deeds.changed()
                continue
            while not self.has_begun:
                await self._until_moved(None)
            await self._wait_until_at(sample)
            self._deeds.advance(self.reply.turn, max(sample, self.heard_samples))

    def commit_reached(self) -> None:
        """Commit the actions that playback has reached as of now."""
        if self.has_begun:
            self._deeds.advance(self.reply.turn, self.heard_samples)

    async def _wait_until_at(self, sample: int) -> None:
        """Return when playback has reached `sample`, or is taken to have."""
        while self.heard_samples < sample:
            wait_ms = self._until_given_up_ms(sample)
            if wait_ms is not None and wait_ms <= 0:
                return
            await self._until_moved(wait_ms)

    async def _until_moved(self, wait_ms: float | None) -> None:
        self._moved.clear()
        try:
            async with asyncio.timeout(None if wait_ms is None else wait_ms / 1000):
                await self._moved.wait()
        except TimeoutError:
            pass

    def _until_given_up_ms(self, sample: int) -> float | None:
        """How long to wait for a sign of life; None before the audio has left, and while hushed."""
        due_ms = self._playhead.due_ms(sample)
        if due_ms is None:
            return None
        grace_ms = 0 if self._reported is None else REPORT_GRACE_MS
        return due_ms + grace_ms - self._clock.now_ms()

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
