"""Whisper through CTranslate2 (faster-whisper's model files), run on the utterance and not on 30 s.

The encoder reads the utterance and a second of padding. Behind its states come
those of the last seconds of an empty window, made once: by them the decoder
knows that the speech is over; without them one text in three is said twice. A
text that cannot be trusted (`trust`) is decoded again with the full window of
30 s. The names of what is around stand before it as if they had just been said:
they are then heard where they are said, and written as the game spells them.
Partials take two short jobs, so that a final can pass between them, and never
the full window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from npc.asr.pieces import pieces
from npc.asr.trust import Decoded, first_saying, is_doubtful, is_silence, is_stuck, token_limit
from npc.config import Recognition
from npc.errors import ConfigError, ModelError
from npc.turn import HEARING_RATE_HZ, Samples, Transcript
from npc.worker import NORMAL, URGENT, Worker

if TYPE_CHECKING:
    from ctranslate2 import StorageView
    from faster_whisper import WhisperModel

PADDING_MS = 1000
TAIL_MS = 6000
"""With these two the word error rate is that of the full window or better, and no text was said twice in 84 clips."""
QUIETEST_PEAK = 1e-3
"""Audio that never exceeds this (-60 dB) is silence, whatever Whisper makes of it."""
SHORTEST_MS = 60
HINT_TOKENS = 100
"""Of names around. Whisper has room for 223; each costs time in every hearing."""
MAX_HINTS = 256
Hint = tuple[int, ...]
_FRAMES_PER_S = 100  # mel frames
_STATES_PER_S = 50  # encoder states
_WINDOW_FRAMES = 30 * _FRAMES_PER_S


@dataclass(frozen=True, slots=True)
class Heard:
    """What was made of one piece, and of which window."""

    decoded: Decoded
    window: Literal["utterance", "full"] = "utterance"


class WhisperRecogniser:
    """Implements `npc.stages.Recogniser`."""

    def __init__(
        self,
        model: "WhisperModel",
        language: str,
        worker: Worker,
        padding_ms: int = PADDING_MS,
        tail_ms: int = TAIL_MS,
    ) -> None:
        """`language` is a code such as "en", or "auto" to detect it in every utterance.

        `padding_ms` is what the encoder reads behind the utterance, `tail_ms` what the decoder is shown after that.
        """
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        self._model = model
        self._worker = worker
        self._padding = padding_ms * _FRAMES_PER_S // 1000
        n_mels = model.model.n_mels
        empty = np.asarray(model.encode(np.zeros((n_mels, _WINDOW_FRAMES), np.float32)))  # [1, 1500, d_model]
        self._tail: Samples = empty[:, empty.shape[1] - tail_ms * _STATES_PER_S // 1000 :].copy()
        is_multilingual = model.model.is_multilingual
        self._detects = is_multilingual and language == "auto"
        self._tokenizer = Tokenizer(
            model.hf_tokenizer, is_multilingual, "transcribe", "en" if language == "auto" else language
        )
        self._suppressed = list(get_suppressed_tokens(self._tokenizer, [-1]))
        self._hints: dict[tuple[str, ...], Hint] = {}

    @classmethod
    def load(cls, folder: Path, settings: Recognition, worker: Worker | None = None) -> "WhisperRecogniser":
        """From a CTranslate2 Whisper folder; raises ModelError when it is none, ConfigError for a wrong language."""
        from faster_whisper import WhisperModel

        if not (folder / "model.bin").is_file():
            raise ModelError(f"{folder}: holds no model.bin; a CTranslate2 Whisper model is wanted")
        try:
            model = WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=settings.n_threads,
                num_workers=settings.n_workers,  # they share the weights
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{folder}: cannot be loaded as a Whisper model ({error})") from error
        known = model.supported_languages
        if settings.language != "auto" and settings.language not in known:
            raise ConfigError(
                f"recognition.language: '{settings.language}' is not known to {folder.name}; "
                + ("it knows English only" if known == ["en"] else f"it knows {', '.join(known)}, or say 'auto'")
            )
        return cls(model, settings.language, worker or Worker("asr", settings.n_workers))

    async def transcribe(self, audio: Samples, *, is_final: bool, around: Sequence[str] = ()) -> Transcript:
        audio_ms = len(audio) * 1e3 / HEARING_RATE_HZ
        if audio_ms < SHORTEST_MS or np.abs(audio).max() < QUIETEST_PEAK:
            return Transcript("", is_final, audio_ms, no_speech_prob=1.0)
        hint = self._hint(tuple(around))
        hear = self._final if is_final else self._partial
        heard = [await hear(piece, hint) for piece in pieces(audio) if len(piece)]
        return _join(heard, is_final, audio_ms)

    def close(self) -> None:
        self._worker.close()

    async def _final(self, audio: Samples, hint: Hint) -> Heard:
        return await self._worker.run(lambda: self._hear(audio, hint), URGENT)

    async def _partial(self, audio: Samples, hint: Hint) -> Heard:
        encoded = await self._worker.run(lambda: self._encode(self._features(audio)), NORMAL)
        decoded = await self._worker.run(lambda: self._decode(encoded, len(audio), hint), NORMAL)
        return Heard(_silence(decoded) if is_silence(decoded) else self._said_once(decoded))

    def _hear(self, audio: Samples, hint: Hint) -> Heard:
        features = self._features(audio)
        encoded = self._encode(features)
        quick = self._decode(encoded, len(audio), hint)
        if hint and (not quick.text or is_doubtful(quick)):  # it may be the names that led astray
            quick = self._decode(encoded, len(audio))
        if is_silence(quick):
            return Heard(_silence(quick))
        if not is_doubtful(quick):
            return Heard(quick)
        full = self._decode(self._model.encode(_to_window(features)), len(audio))
        if is_silence(full):
            return Heard(_silence(full), "full")
        if is_stuck(full):
            return Heard(self._said_once(full), "full")
        return Heard(full, "full")

    def _hint(self, around: tuple[str, ...]) -> Hint:
        """As if somebody had just spoken of `around`."""
        if around not in self._hints:
            if len(self._hints) >= MAX_HINTS:
                self._hints.clear()
            tokens: list[int] = []
            for name in around:
                more = self._tokenizer.encode(f", {name}" if tokens else f" {name}")
                if len(tokens) + len(more) > HINT_TOKENS:
                    break
                tokens += more
            # The full stop matters: what follows a comma begins in small letters, and often ends in a comma.
            end = self._tokenizer.encode(".")
            self._hints[around] = (self._tokenizer.sot_prev, *tokens, *end) if tokens else ()
        return self._hints[around]

    def _features(self, audio: Samples) -> Samples:
        """Log-mel features [n_mels, frames], a frame each 10 ms, of `audio`."""
        features: Samples = self._model.feature_extractor(audio)
        return features

    def _encode(self, features: Samples) -> "StorageView":
        """States [1, n, d_model], a state each 20 ms, of the utterance, its padding and the tail."""
        from ctranslate2 import StorageView

        # 0 is the middle of the scale: faster-whisper pads with it, and does better than with digital silence.
        padded = np.pad(features, ((0, 0), (0, self._padding)))[:, :_WINDOW_FRAMES]
        states = np.asarray(self._model.encode(padded))
        room = _WINDOW_FRAMES // 2 - states.shape[1]
        tail = self._tail[:, max(self._tail.shape[1] - room, 0) :]
        return StorageView.from_array(np.concatenate((states, tail), axis=1))

    def _decode(self, encoded: "StorageView", n_samples: int, hint: Hint = ()) -> Decoded:
        tokenizer = self._tokenizer
        prompt = [*hint, *self._start(encoded), tokenizer.no_timestamps]
        limit = token_limit(n_samples / HEARING_RATE_HZ)
        result = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=2 * (limit + len(hint)),  # CTranslate2 takes half of it for hint and new tokens
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = tuple(result.sequences_ids[0])
        return Decoded(
            tokens=tokens,
            text=tokenizer.decode(tokens).strip(),
            # The score is the mean over the tokens; the end token counts, too.
            mean_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
            no_speech_prob=result.no_speech_prob,
            reached_limit=len(tokens) >= limit,
        )

    def _start(self, encoded: "StorageView") -> list[int]:
        if not self._detects:
            return list(self._tokenizer.sot_sequence)
        language, _ = self._model.model.detect_language(encoded)[0][0]
        return [self._tokenizer.sot, self._model.hf_tokenizer.token_to_id(language), self._tokenizer.transcribe]

    def _said_once(self, decoded: Decoded) -> Decoded:
        """What was said before the decoder began to repeat itself."""
        tokens = decoded.tokens[: first_saying(decoded.tokens)]
        return replace(decoded, tokens=tokens, text=self._tokenizer.decode(list(tokens)).strip())


def _silence(decoded: Decoded) -> Decoded:
    return replace(decoded, tokens=(), text="")


def _to_window(features: Samples) -> Samples:
    return np.pad(features, ((0, 0), (0, _WINDOW_FRAMES - features.shape[1])))


def _join(heard: list[Heard], is_final: bool, audio_ms: float) -> Transcript:
    weights = [len(piece.decoded.tokens) + 1 for piece in heard]
    return Transcript(
        text=" ".join(piece.decoded.text for piece in heard if piece.decoded.text),
        is_final=is_final,
        audio_ms=audio_ms,
        mean_logprob=float(np.average([piece.decoded.mean_logprob for piece in heard], weights=weights)),
        no_speech_prob=min(piece.decoded.no_speech_prob for piece in heard),
        window="full" if any(piece.window == "full" for piece in heard) else "utterance",
    )
