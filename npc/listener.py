"""What the player says: the microphone's turns, and their words as far as they are known.

Wraps the ear with the transcript of the utterance that is going on, and tells
the turn detector how long a pause may be: as more becomes known of what was
said, the wait is judged anew.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from npc.asr.streaming import StreamingTranscript
from npc.config import Recognition, TurnTaking
from npc.ear import Ear
from npc.events import AudioInput
from npc.stages import EndOfTurn, Stages
from npc.turn import Transcript
from npc.turntaking import DetectorEvent, Evidence, Lull, Paused, endpoint_ms

log = logging.getLogger(__name__)


class Listener:
    """`on_heard` gets the events of the microphone's turns, whenever they come about."""

    def __init__(
        self,
        audio: AudioInput,
        stages: Stages,
        settings: TurnTaking,
        recognition: Recognition,
        opened_ms: float,
        on_heard: Callable[[tuple[DetectorEvent, ...]], None],
        tasks: asyncio.TaskGroup,
        around: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`around` gives the names that the player may well say now."""
        self.ear = Ear(
            audio,
            stages.voice_activity.open(),
            settings,
            opened_ms,
            self._patience,
            stages.synthesiser.rate_hz,
            stages.cleaning,
        )
        self.start_sample = 0
        """Where the utterance begins that is going on, or was last."""
        self._recogniser = stages.recogniser
        self._end_of_turn = stages.end_of_turn if settings.smart_turn else None
        self._settings = settings
        self._on_heard = on_heard
        self._tasks = tasks
        self._around = around
        self._partial_every_s = recognition.partial_every_ms / 1000
        self._words = StreamingTranscript(stages.recogniser)
        self._evidence = Evidence()
        self._finished: Transcript | None = None
        """The words up to the pause that is going on."""
        self._judging: asyncio.Task[None] | None = None
        """Of how the voice sounded before the pause that is going on."""

    async def hear(self, pcm: bytes, arrival_ms: float) -> None:
        """A chunk in the microphone's format; `on_heard` is called after each of its frames."""
        async for events in self.ear.hear(pcm, arrival_ms):
            self._on_heard(events)
            if self._end_of_turn is not None and any(isinstance(event, Paused) for event in events):
                self.stop()
                self._judging = self._tasks.create_task(self._judge(self._end_of_turn))

    def begin(self, start_sample: int, asked: str) -> None:
        """An utterance starts at a sample of the microphone; `asked` is what the character said last."""
        self.start_sample = start_sample
        self.ear.keep()
        self._words = StreamingTranscript(self._recogniser, self._around())
        self._evidence = Evidence(asked=asked)
        self._finished = None
        self.stop()

    def resume(self) -> None:
        """The player goes on after a pause: what is known of the words is of before."""
        self._evidence = replace(self._evidence, transcript=None, smart_turn=None)
        self._finished = None
        self.stop()

    async def follow(self, show: Callable[[Transcript], None]) -> None:
        """Keep the transcript up to date while the player speaks, until cancelled; `show` gets what is new."""
        shown = ""
        while True:
            await asyncio.sleep(self._partial_every_s)
            if self.ear.detector.is_silent:  # the final transcript is due, and should not have to wait
                continue
            try:
                transcript = await self._words.update(self.ear.utterance(self.start_sample))
            except Exception as error:  # partial words are for show: the final ones will fail, and say why
                log.warning("a partial transcript failed: %s", error)
                return
            if transcript.text and transcript.text != shown:
                shown = transcript.text
                show(transcript)

    async def finish(self) -> Transcript:
        """All that was said until now; what it was may end the turn. Raises StageError."""
        if self._finished is not None:
            return self._finished
        transcript = await self._words.finish(self.ear.utterance(self.start_sample))
        if self.ear.detector.is_paused:
            self._finished = transcript
        if self._settings.judges_pauses:
            self._evidence = replace(self._evidence, transcript=transcript.text)
            self._on_heard(self.ear.detector.reconsider(self._evidence))
        return transcript

    def stop(self) -> None:
        """Judge no more how the voice sounded before the pause that was going on."""
        if self._judging is not None:
            self._judging.cancel()
            self._judging = None

    async def _judge(self, end_of_turn: EndOfTurn) -> None:
        """How finished the voice sounds may end the turn."""
        try:
            probability = await end_of_turn.probability(self.ear.utterance(self.start_sample))
        except Exception as error:  # the words judge the pause, too
            log.warning("how the voice sounded was not judged: %s", error)
            return
        self._evidence = replace(self._evidence, smart_turn=probability)
        if self._settings.judges_pauses:
            self._on_heard(self.ear.detector.reconsider(self._evidence))

    def _patience(self, lull: Lull) -> float:
        if not self._settings.judges_pauses:
            return self._settings.endpoint_ms
        return endpoint_ms(self._evidence, self._settings)
