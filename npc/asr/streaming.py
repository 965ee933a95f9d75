"""The transcript of an utterance that is still going on, kept up to date at bounded cost.

    |── settled: heard once, never again ──|── tail: heard anew at every update ──|
                                           cut, at the quietest place

Of the tail, those words are stable that two successive hearings agree on (local
agreement: Liu et al. 2020; Macháček et al. 2023). A tail that grows too long is cut, so
that an update costs no more after two minutes than after eight seconds, and the end of
the utterance only its tail. A shorter utterance is heard whole, exactly as without
streaming.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from npc.asr.pieces import quietest
from npc.stages import Recogniser
from npc.turn import HEARING_RATE_HZ, Samples, Transcript

LONGEST_TAIL_S: Final = 9.0
SHORTEST_PIECE_S: Final = 4.0
"""Whisper needs the context: pieces of two seconds cost words."""
FRESH_S: Final = 1.5
"""A cut is not looked for in what was said just now."""


class StreamingTranscript:
    """Of one utterance; make a new one for the next. `audio` is the utterance so far, [n] at 16 kHz, and only grows."""

    def __init__(self, recogniser: Recogniser, around: Sequence[str] = ()) -> None:
        """`around`: as in `Recogniser.transcribe`."""
        self._recogniser, self._around = recogniser, around
        self._settled: list[Transcript] = []
        self._cut = 0  # the sample at which the tail begins
        self._last: tuple[str, ...] = ()  # the words of the tail, as last heard
        self._lock = asyncio.Lock()

    @property
    def n_settled_samples(self) -> int:
        """So much from the beginning is never looked at again."""
        return self._cut

    async def update(self, audio: Samples) -> Transcript:
        """What was said so far; `stable` tells how much of it stands. May be cancelled at any time."""
        async with self._lock:
            await self._settle(audio)
            tail = await self._recogniser.transcribe(audio[self._cut :], is_final=False, around=self._around)
            words = tuple(tail.text.split())
            n_stable = _n_agreeing(words, self._last)
            self._last = words
        settled = [piece.text for piece in self._settled]
        return replace(self._joined(tail, audio), stable=_text([*settled, *words[:n_stable]]))

    async def finish(self, audio: Samples) -> Transcript:
        """What was said in all. Can be asked at every pause: the utterance may go on, and `update` with it.

        Waits for an update that is under way: cancel that one first.
        """
        async with self._lock:
            tail = await self._recogniser.transcribe(audio[self._cut :], is_final=True, around=self._around)
        whole = self._joined(tail, audio)
        return replace(whole, stable=whole.text)

    async def _settle(self, audio: Samples) -> None:
        while len(audio) - self._cut > LONGEST_TAIL_S * HEARING_RATE_HZ:
            start = self._cut + int(SHORTEST_PIECE_S * HEARING_RATE_HZ)
            end = self._cut + int((LONGEST_TAIL_S - FRESH_S) * HEARING_RATE_HZ)
            cut = quietest(audio, start, end)
            self._settled.append(
                await self._recogniser.transcribe(audio[self._cut : cut], is_final=True, around=self._around)
            )
            self._cut, self._last = cut, ()

    def _joined(self, tail: Transcript, audio: Samples) -> Transcript:
        heard = [*self._settled, tail]
        lengths = [piece.audio_ms for piece in heard]
        return replace(
            tail,
            text=_text([piece.text for piece in heard]),
            audio_ms=len(audio) * 1e3 / HEARING_RATE_HZ,
            mean_logprob=float(np.average([piece.mean_logprob for piece in heard], weights=lengths))
            if sum(lengths)
            else tail.mean_logprob,
            no_speech_prob=min(piece.no_speech_prob for piece in heard),
            window="full" if any(piece.window == "full" for piece in heard) else "utterance",
        )


def _n_agreeing(words: Sequence[str], before: Sequence[str]) -> int:
    """How many words both begin with; case and punctuation do not count."""
    n = 0
    for a, b in zip(words, before, strict=False):
        if _bare(a) != _bare(b):
            break
        n += 1
    return n


def _bare(word: str) -> str:
    return "".join(sign for sign in word.lower() if sign.isalnum())


def _text(parts: Sequence[str]) -> str:
    return " ".join(part for part in parts if part)
