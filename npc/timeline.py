"""The performance of one reply: what happens at which sample of its audio.

Clauses are laid end to end; words and phonemes move from their clause's time
to the reply's, and whatever the model writes between two words lands between
them. Pure bookkeeping: nothing here waits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from npc.events import ActionEvent, EmotionEvent, GestureEvent, TimedPhoneme, TimedWord, WordsEvent
from npc.frames import REPLY, AudioFrame, to_pcm
from npc.turn import ActionCall, Speech

FRAME_MS = 60
"""Reply audio leaves in frames of this length: short enough to stop at, long enough to keep the header cheap."""


@dataclass(frozen=True, slots=True)
class _Entry:
    sample: int
    text: str
    """A word, a clause that is read, or a call as the model wrote it."""
    action: str | None = None
    """The id of the call's action."""


class Timeline:
    def __init__(self, turn: int, rate_hz: int) -> None:
        self.turn = turn
        self.rate_hz = rate_hz
        self.n_samples = 0
        self._entries: list[_Entry] = []

    @property
    def duration_ms(self) -> float:
        return self.n_samples * 1000 / self.rate_hz

    def speak(self, speech: Speech) -> tuple[WordsEvent, list[AudioFrame]]:
        """Append a clause: its words, and its audio in frames."""
        start = self.n_samples
        self.n_samples += len(speech.audio)
        words = tuple(
            TimedWord(text=word.text, sample=start + word.start_sample, end_sample=start + word.end_sample)
            for word in speech.words
        )
        self._entries += [_Entry(word.sample, word.text) for word in words] or [_Entry(start, speech.text)]
        event = WordsEvent(
            turn=self.turn,
            sample=start,
            text=speech.text,
            words=words,
            phonemes=tuple(
                TimedPhoneme(symbol=p.symbol, sample=start + p.start_sample, end_sample=start + p.end_sample)
                for p in speech.phonemes
            ),
        )
        pcm, step = to_pcm(speech.audio), 2 * (self.rate_hz * FRAME_MS // 1000)
        frames = [
            AudioFrame(REPLY, self.turn, start + offset // 2, pcm[offset : offset + step])
            for offset in range(0, len(pcm), step)
        ]
        return event, frames

    def write(self, text: str) -> WordsEvent:
        """Append a clause that is read, not heard: it takes no time."""
        self._entries.append(_Entry(self.n_samples, text))
        return WordsEvent(turn=self.turn, sample=self.n_samples, text=text, words=(), phonemes=())

    def act(self, call: ActionCall, rendered: str, *, is_awaited: bool = False) -> ActionEvent:
        """Append an action where the speech has got to; `rendered` is how the reply writes it."""
        self._entries.append(_Entry(self.n_samples, rendered, call.id))
        return ActionEvent(
            turn=self.turn, sample=self.n_samples, id=call.id, name=call.name, args=dict(call.args), awaited=is_awaited
        )

    def feel(self, name: str, strength: float) -> EmotionEvent:
        """A feeling shows from where the speech has got to."""
        return EmotionEvent(turn=self.turn, sample=self.n_samples, name=name, strength=strength)

    def gesture(self, name: str) -> GestureEvent:
        return GestureEvent(turn=self.turn, sample=self.n_samples, name=name)

    def end(self) -> AudioFrame:
        """The empty frame that says that no audio follows."""
        return AudioFrame(REPLY, self.turn, self.n_samples, b"", is_last=True)

    def told(self, is_kept: Callable[[str], bool], until: int | None = None) -> str:
        """The reply as heard and done: words that began before the sample `until` (None: all), and actions whose ids
        are kept."""
        return " ".join(
            entry.text
            for entry in self._entries
            if (is_kept(entry.action) if entry.action is not None else until is None or entry.sample < until)
        )

    @property
    def text(self) -> str:
        """All of it, as written."""
        return " ".join(entry.text for entry in self._entries)
