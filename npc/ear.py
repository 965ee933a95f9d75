"""From a microphone's chunks to the events of turn-taking, with the audio of the utterance at hand.

Chunks of any rate and size become 16 kHz frames; each frame, with the character's
own voice taken out, goes through voice activity into the turn detector. Also keeps
when each sample arrived, since latency counts from the arrival of the player's last
speech sample.
"""

from collections import deque
from collections.abc import AsyncGenerator

import numpy as np

from npc.audio import FRAME_SAMPLES, Cleaned, EchoGuard, Frame, Framer, Recording, StreamResampler
from npc.config import TurnTaking
from npc.errors import InputError
from npc.events import AudioInput, ReplyEnded, ReplyHushed, ReplyResumed, ServerEvent
from npc.frames import AudioFrame, from_pcm
from npc.stages import Inline, Thought, VoiceActivityStream
from npc.turn import HEARING_RATE_HZ, Samples
from npc.turntaking import DetectorEvent, Onset, Patience, TurnDetector

_PER_MS = HEARING_RATE_HZ // 1000
MAX_ARRIVALS = 400
SHUT_MS = 1000
"""A microphone that sends nothing for longer was shut, not late."""
RECENT_MS = 2000
"""Clocks drift, and now and then a chunk is lost: what came before says little."""


class Ear:
    def __init__(
        self,
        audio: AudioInput,
        vad: VoiceActivityStream,
        settings: TurnTaking,
        opened_ms: float,
        patience: Patience | None = None,
        reply_rate_hz: int = HEARING_RATE_HZ,
        cleaning: Thought | None = None,
    ) -> None:
        """`reply_rate_hz` is the rate of the audio that `notice` is told of; `cleaning` is where echo is taken out."""
        self.detector = TurnDetector(settings, patience)
        self.onset = Onset(settings.speech_threshold)
        self._audio = audio
        self._vad = vad
        self._n_preroll = settings.preroll_ms * _PER_MS
        self._resampler = StreamResampler(audio.rate_hz, HEARING_RATE_HZ)
        self._framer = Framer(FRAME_SAMPLES)
        self._echo = EchoGuard() if settings.removes_echo else None
        self._reply_rate_hz = reply_rate_hz
        self._cleaning = cleaning or Inline()
        self._recording = Recording()
        self._is_keeping = False
        self._arrivals = deque([(0, opened_ms)], maxlen=MAX_ARRIVALS)  # (end sample, ms), in order
        self.has_floor = False
        """It is the player's turn: whoever is heard is the player, though a reply that was broken off rings on."""

    def check(self, pcm: bytes) -> None:
        """Raises InputError (`bad-audio`) when `pcm` is not whole samples of all channels."""
        sample_bytes = 2 * self._audio.channels
        if len(pcm) % sample_bytes:
            raise InputError(
                f"{len(pcm)} bytes of audio are not whole samples of {self._audio.channels} × 16 bits; "
                f"send a multiple of {sample_bytes}",
                "bad-audio",
            )

    async def hear(self, pcm: bytes, arrival_ms: float) -> AsyncGenerator[tuple[DetectorEvent, ...], None]:
        """What each frame of a chunk (in the format that the session was opened with) brings about."""
        heard = self._resampler.push(from_pcm(pcm, self._audio.channels))
        missing_ms = arrival_ms - self._arrivals[-1][1] - len(heard) / _PER_MS
        if missing_ms > (SHUT_MS if self._framer.n_samples else 0):
            self._reopen(missing_ms, arrival_ms - len(heard) / _PER_MS)
        frames = self._framer.push(heard)
        self._arrivals.append((self._framer.n_samples, arrival_ms))
        for frame in frames:
            cleaned = await self._clean(frame)
            self._recording.append(cleaned.samples)
            probability = await self._vad.push(cleaned.samples)
            is_player = cleaned.is_own or self.has_floor
            likely = probability if is_player else 0.0
            powers = _power(cleaned.samples), _power(frame.samples)
            is_sure = cleaned.is_surely_own or self.has_floor
            self.onset.push(likely, *powers, len(frame.samples) / _PER_MS, is_sure=is_sure)
            yield self.detector.push(likely, len(frame.samples))
        if not (self._is_keeping or self.detector.is_in_turn):
            self._recording.forget_before(self._recording.end_sample - self._n_preroll)

    def notice(self, sent: ServerEvent | AudioFrame, now_ms: float) -> None:
        """Something is leaving for the client: what of it is played may come back through the microphone."""
        if self._echo is None:
            return
        now = self._recorded_at(now_ms)
        match sent:
            case AudioFrame(pcm=pcm):
                self._echo.play(from_pcm(pcm), self._reply_rate_hz, now)
            case ReplyHushed():
                self._echo.hold(now)
            case ReplyResumed():
                self._echo.play_on(now)
            case ReplyEnded(reason=reason) if reason != "done":
                self._echo.stop(now)
            case _:
                pass

    def utterance(self, start_sample: int) -> Samples:
        """What was heard since shortly before `start_sample`, [n] at 16 kHz.

        A microphone that was opened only when the player spoke gets the silence before that recognition needs.
        """
        start = start_sample - self._n_preroll
        return np.pad(self._recording.cut(max(start, 0)), (max(-start, 0), 0))

    def keep(self) -> None:
        """Hold on to what was heard, also when the turn is over: the player may go on."""
        self._is_keeping = True

    def forget(self) -> None:
        """The utterance is done with; keep only what may be the beginning of the next."""
        self._is_keeping = False

    def arrival_ms(self, sample: int) -> float:
        """When `sample` (16 kHz) arrived, on the latency clock; for one that is long past, the oldest known."""
        later_end, later_ms = self._arrivals[-1]
        for end, arrival_ms in reversed(self._arrivals):
            if end <= sample:
                break
            later_end, later_ms = end, arrival_ms
        return later_ms - max(later_end - sample, 0) / _PER_MS

    async def _clean(self, frame: Frame) -> Cleaned:
        echo = self._echo
        if echo is None:
            return Cleaned(frame.samples, 1.0)
        if not echo.is_at_work:
            return echo.clean(frame.samples, frame.first_sample)
        return await self._cleaning.run(lambda: echo.clean(frame.samples, frame.first_sample))

    def _reopen(self, missing_ms: float, now_ms: float) -> None:
        """The microphone was shut for so long, until now."""
        if self._echo is not None:
            self._echo.skip(int(missing_ms * _PER_MS))
        self._arrivals.clear()
        self._arrivals.append((self._framer.n_samples, now_ms))

    def _recorded_at(self, now_ms: float) -> int:
        """The sample that the microphone records just now, by the chunk of the last seconds that was least delayed.

        What was heard may lag behind by what waits to be heard, and differently with every reply.
        """
        recent = (end - at_ms * _PER_MS for end, at_ms in self._arrivals if at_ms > self._arrivals[-1][1] - RECENT_MS)
        return int(max(recent) + now_ms * _PER_MS)


def _power(samples: Samples) -> float:
    return float(np.mean(np.square(samples)))
