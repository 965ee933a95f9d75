"""One conversation: what a player says and does comes in, a character's performance goes out.

    hear, handle → inbox → listener ─ pause ──→ speaker: a reply, held back
                                    ├─ resumed ─→ thrown away
                                    └─ turn over → committed → outbox → next

Here is decided who has the floor. A session owns its tasks and its state;
`hear` and `handle` never wait, and `next` gives what is to be sent. A stage
that fails ends the turn, not the session.
"""

import asyncio
import itertools
import logging
import uuid

from npc.anticipation import Anticipation
from npc.character import Character
from npc.clock import Clock
from npc.config import Settings
from npc.deeds import Deeds
from npc.errors import InputError, NpcError
from npc.events import (
    ActionProgress,
    ActionResult,
    ClientEvent,
    Interrupt,
    Playback,
    PlayerText,
    ReactionEvent,
    SceneDeltaEvent,
    SceneUpdate,
    ServerEvent,
    SessionEnd,
    SessionReady,
    SessionStart,
    SpeechEnd,
    SpeechStart,
    SpeechStarted,
    TranscriptEvent,
)
from npc.feeling import Heart
from npc.frames import AudioFrame
from npc.listener import Listener
from npc.lost import Talk
from npc.mind import Mind
from npc.outbox import Outbox
from npc.outbox import OutboxClosed as SessionClosed
from npc.reply import Company, Heard
from npc.speaker import Speaker
from npc.stages import Stages
from npc.state import SessionState
from npc.turn import Transcript
from npc.turntaking import DetectorEvent, Overlap, Paused, Resumed, TurnEnded, TurnStarted, react
from npc.world import apply_delta

__all__ = ["Session", "SessionClosed"]

log = logging.getLogger(__name__)

MAX_QUEUED_FRAMES = 64
"""Reply audio that waits for the connection: about four seconds, so that a slow client stops only its own reply."""


def _first_talk(start: SessionStart, character: Character, clock: Clock) -> Talk:
    heart = Heart.at_first(character.temper, clock.now_ms() / 1000)
    return Talk(uuid.uuid4().hex, start.character, start.player, SessionState(character.scene, heart))


class Session:
    def __init__(
        self,
        start: SessionStart,
        mind: Mind,
        stages: Stages,
        settings: Settings,
        clock: Clock,
        lost: Talk | None = None,
    ) -> None:
        """`lost` is taken up again, where there is one."""
        self._is_resumed = lost is not None
        self.talk = lost or _first_talk(start, mind.character, clock)
        self.talk.ended_ms = None
        self.id, self.state = self.talk.id, self.talk.state
        self.state.scene = start.scene or self.state.scene
        self._character = mind.character
        self._rate_hz = stages.synthesiser.rate_hz
        self._clock = clock
        self._inbox: asyncio.Queue[tuple[bytes, float] | ClientEvent] = asyncio.Queue()
        self._outbox = Outbox(MAX_QUEUED_FRAMES)
        self._closing = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._turn_taking = mind.character.turn_taking(settings.turn_taking)
        self._anticipation = Anticipation(mind, stages, settings, self.state, clock)
        self._deeds = Deeds(mind.character.temper, self.state, self._outbox, clock)
        self._reactions = itertools.cycle(mind.character.reactions)
        self._listener = Listener(
            start.audio,
            stages,
            self._turn_taking,
            settings.recognition,
            clock.now_ms(),
            self._on_heard,
            self._tasks,
            lambda: self._anticipation.names,
        )
        company = Company(
            mind.character,
            self._anticipation,
            stages,
            settings,
            self.state,
            self._deeds,
            self._outbox,
            clock,
            is_spoken=start.reply == "speech",
            face=start.face,
        )
        self._speaker = Speaker(company, self._tasks, self._on_reply_over)
        self._following: asyncio.Task[None] | None = None
        """Keeps up with what the player says."""
        self._overlap: str | None = None
        """What is understood of a voice over the reply; None as long as nothing was recognised."""

    @property
    def ready(self) -> SessionReady:
        return SessionReady(
            session=self.id,
            character=self._character.id,
            name=self._character.name,
            voice=self._character.voice.name,
            rate_hz=self._rate_hz,
            resumed=self._is_resumed,
        )

    @property
    def _is_turn_open(self) -> bool:
        """The player has the floor."""
        return self._listener.ear.has_floor

    def hear(self, pcm: bytes) -> None:
        """Microphone audio in the session's format. Raises InputError (`bad-audio`)."""
        self._listener.ear.check(pcm)
        self._inbox.put_nowait((pcm, self._clock.now_ms()))

    def handle(self, event: ClientEvent) -> None:
        """Anything that a client says after `session-start`. Raises InputError."""
        match event:
            case SessionStart():
                raise InputError("the session has started; open another connection for another one", "already-started")
            case ActionResult(action=action, outcome=outcome, reason=reason):
                self._deeds.close(action, outcome, reason)
            case ActionProgress(action=action, progress=progress):
                self._deeds.report(action, progress)
            case SceneDeltaEvent(delta=delta):  # up to 30 a second: what is told of it is worked out when it is needed
                self.state.scene = apply_delta(self.state.scene, delta)
            case SceneUpdate(scene=scene):
                self.state.scene = scene
                self._inbox.put_nowait(event)
            case Playback(turn=turn, sample=sample):
                self._speaker.report(turn, sample)
            case SessionEnd():
                self.talk.is_left = True
                self.close()
            case _:
                self._inbox.put_nowait(event)

    async def next(self) -> ServerEvent | AudioFrame:
        """What to send next. Raises SessionClosed at the end."""
        item = await self._outbox.take()
        self._listener.ear.notice(item, self._clock.now_ms())
        if isinstance(item, AudioFrame):
            metrics = self._speaker.sent(item)
            if metrics is not None:
                self._outbox.put(metrics)
            await asyncio.sleep(0)  # a clause's frames are ready all at once: others get their turn between two
        return item

    def close(self) -> None:
        self._closing.set()

    async def run(self) -> None:
        """Live until `close`; cancel to end at once."""
        try:
            async with self._tasks:
                ongoing = [self._tasks.create_task(work) for work in (self._attend(), self._deeds.watch())]
                self._deeds.recall()
                self._anticipation.read_opening(self._tasks)
                try:
                    await self._closing.wait()
                finally:
                    for task in ongoing:
                        task.cancel()
                    self._stop_following()
                    self._anticipation.stop()
                    self._speaker.stop()
        finally:
            self._outbox.close()
            self.talk.ended_ms = self._clock.now_ms()

    async def _attend(self) -> None:
        while True:
            match await self._inbox.get():
                case (pcm, arrival_ms):
                    await self._listener.hear(pcm, arrival_ms)
                case PlayerText(text=text):
                    self._on_text(text)
                case SpeechStart():
                    self._speaker.interrupt(goes_on=True)
                    self._on_heard(self._listener.ear.detector.hold())
                case SpeechEnd():
                    self._on_heard(self._listener.ear.detector.end_now())
                case SceneUpdate():
                    self._anticipation.read_opening(self._tasks)
                case Interrupt():
                    self._speaker.interrupt(goes_on=False)
                    self._deeds.cancel_all("the reply was interrupted")

    # The floor

    def _on_heard(self, events: tuple[DetectorEvent, ...]) -> None:
        """Called after every frame, and when what was said decides a pause."""
        for event in events:
            match event:
                case TurnStarted(speech_start_sample=start_sample):
                    self._on_voice(start_sample)
                case Paused(speech_end_sample=end_sample):
                    self._stop_following()
                    if self._is_turn_open:
                        self._react()
                        self._begin(end_sample)
                    else:
                        self._following = self._tasks.create_task(self._overhear_end())
                case Resumed():
                    self._listener.resume()
                    if self._is_turn_open:
                        self._speaker.discard()
                    self._follow()
                case TurnEnded(speech_end_sample=end_sample) if self._is_turn_open:
                    if not self._speaker.has_begun:  # no pause came first: push-to-talk, or the longest utterance
                        self._begin(end_sample)
                    self._commit()
                case TurnEnded():
                    pass  # a voice over the reply, which is judged by its words
        if self._speaker.is_playing and not self._is_turn_open:
            self._judge_overlap()
        elif self._listener.ear.detector.is_in_turn and not self._is_turn_open:
            self._open_turn()  # the reply that was spoken over has ended meanwhile

    def _on_voice(self, start_sample: int) -> None:
        """The player begins to speak; what that means is known later if the character is speaking."""
        earlier = self._speaker.unheard_from
        asked = self.state.exchanges[-1].npc if self.state.exchanges else ""
        self._listener.begin(start_sample if earlier is None else earlier, asked)
        self._overlap = None
        if self._speaker.is_playing:
            self._follow()
        else:
            self._open_turn()

    def _open_turn(self) -> None:
        """The player has the floor."""
        self._speaker.discard()
        self._listener.ear.has_floor = True
        self._listener.ear.keep()  # a reply that ended just now let go of it
        self.state.n_turns += 1
        self._outbox.put(SpeechStarted(turn=self.state.n_turns))
        self._anticipation.read_opening(self._tasks)
        self._follow()

    def _judge_overlap(self) -> None:
        """Somebody speaks over the reply: fall silent, break it off, or speak on."""
        detector, onset = self._listener.ear.detector, self._listener.ear.onset
        overlap = Overlap(detector.speech_ms, detector.silence_ms, self._overlap, onset.lasted_ms)
        reaction = react(overlap, self._turn_taking)
        if not self._speaker.heard_samples:  # what nobody has heard yet cannot be coughed over: the player just went on
            reaction = "interrupt" if detector.is_in_turn else "go-on"
        match reaction:
            case "hush":
                self._speaker.hush()
            case "go-on":
                self._speaker.go_on()
            case "interrupt":
                self._speaker.interrupt(goes_on=True)
                earlier = self._speaker.unheard_from
                if earlier is not None:
                    self._listener.begin(earlier, "")
                self._open_turn()
                if detector.is_paused:
                    self._begin(detector.speech_end_sample)

    def _on_text(self, text: str) -> None:
        """Typed words are a turn of their own, or join what is just being said."""
        if self._is_turn_open:
            self._listener.ear.detector.end_now()
            spoken_from: int | None = self._listener.start_sample
        else:
            self._speaker.interrupt(goes_on=True)
            self.state.n_turns += 1
            spoken_from = self._speaker.unheard_from
        self._begin_reply(spoken_from, text, self._clock.now_ms())
        self._commit()

    def _react(self) -> None:
        """The player may have finished: show at once that it was heard."""
        reaction = next(self._reactions, None)
        if reaction is not None:
            self._outbox.put(ReactionEvent(turn=self.state.n_turns, name=reaction))

    def _begin(self, speech_end_sample: int) -> None:
        self._begin_reply(self._listener.start_sample, "", self._listener.ear.arrival_ms(speech_end_sample))

    def _begin_reply(self, spoken_from: int | None, typed: str, last_input_ms: float) -> None:
        self._stop_following()
        self._anticipation.stop()  # what it has read is kept; recognition needs the cores
        heard: Heard | None = None
        if spoken_from is not None:
            heard = Heard(self._listener.finish, lambda: self._listener.ear.utterance(spoken_from))
        self._speaker.begin(heard, spoken_from, typed, last_input_ms)

    def _commit(self) -> None:
        self._listener.ear.has_floor = False
        self._speaker.commit()

    def _on_reply_over(self) -> None:
        self._listener.ear.forget()
        self._anticipation.read_opening(self._tasks)

    # Words

    def _follow(self) -> None:
        """Keep up with what is being said."""
        self._stop_following()
        self._following = self._tasks.create_task(self._listener.follow(self._on_words))

    def _stop_following(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None

    def _on_words(self, transcript: Transcript) -> None:
        """So much is understood while the player speaks."""
        if self._is_turn_open:
            self._outbox.put(TranscriptEvent(turn=self.state.n_turns, text=transcript.text, is_final=False))
            self._anticipation.read(transcript.text, self._tasks)
        elif self._speaker.is_playing:
            self._overlap = transcript.text
            self._judge_overlap()

    async def _overhear_end(self) -> None:
        """What was said over the reply has paused: it is judged by its words."""
        try:
            transcript = await self._listener.finish()
        except NpcError as error:
            log.warning("session %s: what was said over a reply was not understood: %s", self.id, error)
            return
        if self._speaker.is_playing and not self._is_turn_open:
            self._overlap = transcript.text
            self._judge_overlap()
