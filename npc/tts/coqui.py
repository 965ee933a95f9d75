"""Coqui TTS as the synthesiser: VITS, XTTS (streamed while it is made) and what else the library speaks with.

Word times are exact where a VITS model's tokens show its words. They are
estimates, by the length of the words, for XTTS and the others, and for VITS
when its text cleaner changes how many words there are. Phonemes are not given.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from npc.config import Speaking
from npc.errors import ConfigError, StageError
from npc.tts.clauses import wrap
from npc.tts.coqui_library import load
from npc.tts.estimates import Estimate, spread, word_edges
from npc.tts.timing import gap_samples, onset, trimmed
from npc.turn import Samples, Speech, Voice, Word
from npc.worker import NORMAL, URGENT, Worker

_MAX_CHARS = 200
_SLOWEST, _FASTEST = 0.5, 2.0
_CHARS_PER_S = 15.0
"""How fast XTTS is taken to speak: English is read aloud at 14 to 16 characters a second."""
_STREAM_TOKENS = 20
"""Of XTTS, in one piece of the stream: a little under a second."""


class CoquiSynthesiser:
    """Implements `npc.stages.Synthesiser`. A voice is one of the model's speakers, and only its speed can be moved."""

    def __init__(self, tts: Any) -> None:  # TTS.api.TTS; the library carries no types
        self._synthesizer = tts.synthesizer
        self._model = tts.synthesizer.tts_model
        self._is_vits, self._is_xtts = (type(self._model).__name__ == name for name in ("Vits", "Xtts"))
        self._language = _language(self._model, needs_one=self._is_xtts)
        self._references = _references(Path(tts.synthesizer.voice_dir)) if self._is_xtts else {}
        self._latents: dict[str, tuple[Any, Any]] = {}  # tensors by which XTTS knows a speaker
        self.rate_hz = int(tts.synthesizer.output_sample_rate)
        self.voices: Mapping[str, str] = MappingProxyType(self._find_voices())
        self._worker = Worker("tts")

    @classmethod
    def load(cls, settings: Speaking) -> "CoquiSynthesiser":
        """`settings.model` names a model of Coqui's catalog (its library fetches it) or a folder.

        Raises ConfigError when the library is not usable or the setting is wrong, ModelError when the model is.
        """
        return cls(load(settings.model))

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[Speech, None]:
        """Speak `text`; XTTS yields parts while it goes on. Raises ConfigError for a voice that does not exist."""
        self._check(voice)
        priority = URGENT
        for part in wrap(text, _MAX_CHARS):
            words = _sayable(part)
            if not words:
                continue
            try:
                if self._is_xtts:
                    async for speech in self._stream(part, words, voice):
                        yield speech
                else:
                    yield await self._worker.run(lambda p=part, w=words: self._whole(p, w, voice), priority)  # type: ignore[misc]
            except Exception as error:  # what a model raises has no common base
                raise StageError("speech", f"{len(part)} characters could not be spoken: {error}") from error
            priority = NORMAL

    def close(self) -> None:
        self._worker.close()

    def _find_voices(self) -> dict[str, str]:
        speakers = list(getattr(getattr(self._model, "speaker_manager", None), "speaker_names", None) or ())
        found = dict.fromkeys(speakers, "a speaker of the model")
        found |= {name: f"as in {path.name}" for name, path in self._references.items()}
        if self._is_xtts and not found:
            raise ConfigError(
                f"{self._synthesizer.voice_dir}: XTTS speaks as somebody it has heard; put a recording of some seconds "
                "there as <voice>.wav, or speakers_xtts.pth beside the model"
            )
        return found or {"default": "the model's only speaker"}

    def _check(self, voice: Voice) -> None:
        if voice.name not in self.voices:
            known = ", ".join(f"'{name}'" for name in self.voices)
            raise ConfigError(f"voice '{voice.name}' is unknown to this Coqui model; have {known}")
        if (voice.pitch, voice.formant) != (1.0, 1.0):
            raise ConfigError(
                f"voice '{voice.name}': the coqui engine moves neither pitch nor formant; leave both at 1"
            )
        if not _SLOWEST <= voice.speed <= _FASTEST:
            raise ConfigError(f"voice '{voice.name}': speed is {voice.speed:g}; it goes from {_SLOWEST} to {_FASTEST}")
        if voice.speed != 1.0 and not (self._is_vits or self._is_xtts):
            raise ConfigError(f"voice '{voice.name}': this model has one speed; leave it at 1")

    def _whole(self, text: str, words: list[str], voice: Voice) -> Speech:
        """A clause at once, on the worker's thread."""
        clean, speaker = " ".join(words), voice.name if len(self.voices) > 1 else None
        if not self._is_vits:
            made = self._synthesizer.tts(clean, speaker, self._language, split_sentences=False)
            cut = trimmed(_samples(made), self.rate_hz, clean[-1])
            return Speech(text, cut.audio, self.rate_hz, spread(words, 0, cut.n_sounding))

        self._model.length_scale = self._model.args.length_scale / voice.speed
        made = self._model.synthesize(clean, speaker=speaker, language=self._language)
        audio = _samples(made["wav"])
        cut = trimmed(audio, self.rate_hz, clean[-1])
        durations = made["outputs"]["durations"].reshape(-1).cpu().numpy()  # [tokens] in frames
        ends = np.cumsum(durations) * (len(audio) / max(durations.sum(), 1))
        characters = self._model.tokenizer.characters
        symbols = [characters.id_to_char(int(token)) for token in made["text_inputs"].reshape(-1)]
        edges = word_edges(symbols, ends, len(words))
        if edges is None:
            return Speech(text, cut.audio, self.rate_hz, spread(words, 0, cut.n_sounding))
        heard = np.clip(np.array(edges) - cut.start, 0, cut.n_sounding)
        timed = tuple(Word(word, int(start), int(end)) for word, (start, end) in zip(words, heard, strict=True))
        return Speech(text, cut.audio, self.rate_hz, timed)

    async def _stream(self, text: str, words: list[str], voice: Voice) -> AsyncGenerator[Speech, None]:
        """XTTS, piece by piece. It keeps the clause that it speaks in the model, so a clause is one job."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Samples | None] = asyncio.Queue()  # bounded by the length of a clause
        is_unwanted = threading.Event()

        def make() -> None:
            try:
                for piece in self._xtts(" ".join(words), voice):
                    if is_unwanted.is_set():
                        return
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)
            finally:
                loop.call_soon_threadsafe(pieces.put_nowait, None)

        making = asyncio.ensure_future(self._worker.run(make, URGENT))
        estimate = Estimate(words, _CHARS_PER_S * voice.speed, self.rate_hz)
        has_begun = False
        try:
            while (piece := await pieces.get()) is not None:
                heard = piece if has_begun else piece[onset(piece, self.rate_hz) :]
                if len(heard):
                    yield Speech("" if has_begun else text, heard, self.rate_hz, estimate.next(len(heard)))
                    has_begun = True
            await making
            silence = np.zeros(gap_samples(words[-1][-1], self.rate_hz), np.float32)
            yield Speech("", silence, self.rate_hz, estimate.rest(len(silence)))
        finally:
            is_unwanted.set()
            making.cancel()

    def _xtts(self, text: str, voice: Voice) -> Iterator[Samples]:
        if voice.name not in self._latents:
            if voice.name in self._references:
                self._latents[voice.name] = self._model.get_conditioning_latents(str(self._references[voice.name]))
            else:
                known = self._model.speaker_manager.speakers[voice.name]
                self._latents[voice.name] = (known["gpt_cond_latent"], known["speaker_embedding"])
        pieces = self._model.inference_stream(
            text, self._language, *self._latents[voice.name], stream_chunk_size=_STREAM_TOKENS, speed=voice.speed
        )
        return (_samples(piece.float().cpu().numpy()) for piece in pieces)


def _language(model: Any, needs_one: bool) -> str | None:
    """English where a model wants to be told, and speaks it."""
    names = [str(name) for name in getattr(model.config, "languages", None) or model.language_manager.language_names]
    if len(names) < 2 and not needs_one:
        return None
    return names[0] if names and "en" not in names else "en"


def _references(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.wav"))}


def _samples(made: Any) -> Samples:  # an array or a list of samples
    return np.clip(np.asarray(made, np.float32).reshape(-1), -1, 1)


def _sayable(text: str) -> list[str]:
    """The words without what is no text; XTTS's tokenizer reads [brackets] as its own signs."""
    clean = ("".join(c for c in chunk if c.isprintable() and c not in "[]<>{}|\\") for chunk in text.split())
    return [word for word in clean if any(c.isalnum() for c in word)]
