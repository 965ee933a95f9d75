"""The performance of one reply: what happens at which sample of its audio.

Clauses are laid end to end; words and phonemes move from their clause's time
to the reply's, and an action lands between the words that it stands between.
Pure bookkeeping: nothing here waits.
"""

from collections.abc import Iterator

from npc.events import ActionEvent, TimedPhoneme, TimedWord, WordsEvent
from npc.frames import REPLY, AudioFrame, to_pcm
from npc.turn import ActionCall, Speech

FRAME_MS = 60
"""Reply audio leaves in frames of this length: short enough to stop at, long enough to keep the header cheap."""


class Timeline:
    def __init__(self, turn: int, rate_hz: int) -> None:
        self.turn = turn
        self.rate_hz = rate_hz
        self.n_samples = 0
        self._entries: list[tuple[int, str]] = []  # (first sample, word or rendered call), in order

    @property
    def duration_ms(self) -> float:
        return self.n_samples * 1000 / self.rate_hz

    def speak(self, speech: Speech) -> Iterator[WordsEvent | AudioFrame]:
        """Append a clause: its words first, then its audio in frames."""
        start = self.n_samples
        self.n_samples += len(speech.audio)
        words = tuple(
            TimedWord(text=word.text, sample=start + word.start_sample, end_sample=start + word.end_sample)
            for word in speech.words
        )
        self._entries += [(word.sample, word.text) for word in words] or [(start, speech.text)]
        yield WordsEvent(
            turn=self.turn,
            sample=start,
            text=speech.text,
            words=words,
            phonemes=tuple(
                TimedPhoneme(symbol=p.symbol, sample=start + p.start_sample, end_sample=start + p.end_sample)
                for p in speech.phonemes
            ),
        )
        step = self.rate_hz * FRAME_MS // 1000
        for offset in range(0, len(speech.audio), step):
            yield AudioFrame(REPLY, self.turn, start + offset, to_pcm(speech.audio[offset : offset + step]))

    def write(self, text: str) -> WordsEvent:
        """Append a clause that is read, not heard: it takes no time."""
        self._entries.append((self.n_samples, text))
        return WordsEvent(turn=self.turn, sample=self.n_samples, text=text, words=(), phonemes=())

    def act(self, call: ActionCall, rendered: str) -> ActionEvent:
        """Append an action where the speech has got to; `rendered` is how the reply writes it."""
        self._entries.append((self.n_samples, rendered))
        return ActionEvent(turn=self.turn, sample=self.n_samples, id=call.id, name=call.name, args=dict(call.args))

    def end(self) -> AudioFrame:
        """The empty frame that says that no audio follows."""
        return AudioFrame(REPLY, self.turn, self.n_samples, b"", is_last=True)

    def until(self, sample: int) -> str:
        """The reply as heard and done when playback stood at `sample`: what began before it."""
        return " ".join(text for start, text in self._entries if start < sample)

    @property
    def text(self) -> str:
        return " ".join(text for _, text in self._entries)
