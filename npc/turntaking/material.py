"""What turn-taking is tuned and judged on: players' turns with pauses inside them.

Sentences of `turns.txt` in the voices of three synthesisers, and recordings of people.
hibari speaks a sentence whole and is cut between two words, so that the voice does not
fall there; flite and espeak-ng speak the parts on their own. Pauses last 100 to 1500 ms,
short ones being likelier, over a faint hiss such as any microphone has.
"""

import math
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from npc.asr.material import VOICES, is_installed, recorded, spoken
from npc.audio.resample import resample
from npc.turn import HEARING_RATE_HZ, Samples, Voice

if TYPE_CHECKING:
    from npc.stages import Synthesiser

Place = Literal["mid-clause", "clause"]

SHORTEST_PAUSE_MS: Final = 100
LONGEST_PAUSE_MS: Final = 1500
QUIET_AFTER_MS: Final = 2500
QUIET_BEFORE_MS: Final = 400
FADE_MS: Final = 8
HISS_DB: Final = -60.0
_MARKS: dict[str, Place] = {"/": "mid-clause", "|": "clause"}
_QUIETEST_S: Final = 0.04


@dataclass(frozen=True, slots=True)
class Script:
    """A turn as it is written: its words in parts, and what kind of place each part but the last ends at."""

    asked: str
    parts: tuple[str, ...]
    places: tuple[Place, ...]

    @property
    def words(self) -> str:
        return " ".join(self.parts)


@dataclass(frozen=True, slots=True)
class Pause:
    start_sample: int
    end_sample: int
    place: Place


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """`audio` [n] at 16 kHz with silence before and after; the last speech sample is `end_sample` - 1."""

    group: str
    script: Script
    audio: Samples
    end_sample: int
    pauses: tuple[Pause, ...]


def scripts(part: Literal["tuning", "judging", "all"] = "all") -> list[Script]:
    """The turns that ship; every other one is kept apart for judging."""
    lines = [line for line in files(__package__).joinpath("turns.txt").read_text("utf-8").splitlines() if line]
    turns = [_script(line) for line in lines if not line.startswith("#")]
    return {"tuning": turns[::2], "judging": turns[1::2], "all": turns}[part]


async def with_hibari(turns: Sequence[Script], synthesiser: "Synthesiser", seed: int = 0) -> AsyncIterator[SpokenTurn]:
    """Each turn in one of the engine's own voices, which take turns."""
    chance = random.Random(seed)
    voices = list(synthesiser.voices)
    for i, script in enumerate(turns):
        audio: list[Samples] = []
        ends: list[int] = []  # of every word but the last, at the reply's rate
        async for speech in synthesiser.speak(script.words, Voice(voices[i % len(voices)])):
            offset = sum(map(len, audio))
            ends += [offset + (a.end_sample + b.start_sample) // 2 for a, b in pairwise(speech.words)]
            ends += [offset + len(speech.audio)]
            audio.append(speech.audio)
        n_words = [len(part.split()) for part in script.parts]
        cuts = [sum(n_words[: k + 1]) for k in range(len(n_words) - 1)]
        if len(ends) == sum(n_words):  # else it reads the sentence in other words
            whole = resample(np.concatenate(audio), synthesiser.rate_hz, HEARING_RATE_HZ)
            at = [ends[cut - 1] * HEARING_RATE_HZ // synthesiser.rate_hz for cut in cuts]
            yield _assemble("hibari", script, np.split(whole, at), chance, is_whole=True)


def with_programs(turns: Sequence[Script], voices: Sequence[str] | None = None, seed: int = 0) -> Iterator[SpokenTurn]:
    """Each turn in one of the voices of flite and espeak-ng that are installed."""
    chance = random.Random(seed)
    chosen = [voice for voice in (VOICES if voices is None else voices) if is_installed(voice)]
    for i, script in enumerate(turns if chosen else ()):
        voice = chosen[i % len(chosen)]
        yield _assemble(voice, script, [spoken(voice, part) for part in script.parts], chance, is_whole=False)


def with_people(folder: Path, seed: int = 0) -> Iterator[SpokenTurn]:
    """Recordings, cut at the quietest place of their middle half. Raises InputError as `recorded` does."""
    chance = random.Random(seed)
    for clip in recorded(folder):
        cut = _quietest(clip.audio)
        script = Script("", (clip.words,), ("mid-clause",))
        yield _assemble("people", script, np.split(clip.audio, [cut]), chance, is_whole=True)


def with_noise(turn: SpokenTurn, noise_db: float, seed: int) -> SpokenTurn:
    """The turn over noise that is `noise_db` beside its voice, and falls by 3 dB an octave as that of rooms does."""
    n = len(turn.audio)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 20.0 * n / HEARING_RATE_HZ)), n)
    voice = np.abs(turn.audio) > 0.02 * np.abs(turn.audio).max()
    level = np.sqrt(np.mean(np.square(turn.audio[voice]))) * 10 ** (noise_db / 20)
    audio = turn.audio + (noise * level / np.sqrt(np.mean(np.square(noise)))).astype(np.float32)
    return replace(turn, audio=audio.astype(np.float32))


def _script(line: str) -> Script:
    asked, _, said = line.rpartition(">")
    parts: list[list[str]] = [[]]
    places: list[Place] = []
    for token in said.split():
        if token in _MARKS:
            places.append(_MARKS[token])
            parts.append([])
        else:
            parts[-1].append(token)
    return Script(asked.strip(), tuple(" ".join(part) for part in parts), tuple(places))


def _assemble(
    group: str, script: Script, parts: Sequence[Samples], chance: random.Random, *, is_whole: bool
) -> SpokenTurn:
    """The parts, half of them with a pause behind; the last one is followed by silence.

    Where the parts were not cut from one `whole`, each has a silence of its own at its ends, which is taken off.
    """
    pieces = [np.zeros(QUIET_BEFORE_MS * HEARING_RATE_HZ // 1000, np.float32)]
    pauses: list[Pause] = []
    for i, part in enumerate(parts):
        is_last = i == len(parts) - 1
        pauses_here = not is_last and chance.random() < 0.5
        start_too, end_too = i == 0 or not is_whole, pauses_here or is_last or not is_whole
        pieces.append(_trimmed(part, fade=pauses_here, start=start_too, end=end_too))
        if pauses_here:
            start = sum(map(len, pieces))
            pieces.append(np.zeros(_pause_ms(chance) * HEARING_RATE_HZ // 1000, np.float32))
            pauses.append(Pause(start, start + len(pieces[-1]), script.places[i]))
    end = sum(map(len, pieces))
    pieces.append(np.zeros(QUIET_AFTER_MS * HEARING_RATE_HZ // 1000, np.float32))
    audio = np.concatenate(pieces)
    hiss = np.random.default_rng(chance.randrange(2**32)).standard_normal(len(audio)) * 10 ** (HISS_DB / 20)
    return SpokenTurn(group, script, (audio + hiss).astype(np.float32), end, tuple(pauses))


def _trimmed(audio: Samples, *, fade: bool, start: bool, end: bool) -> Samples:
    """Without the synthesiser's own silence at the ends asked for; faded out where it was cut in the middle."""
    loud = np.nonzero(np.abs(audio) > 0.02 * np.abs(audio).max())[0]
    lo = int(loud[0]) if start and len(loud) else 0
    hi = int(loud[-1]) + 1 if end and len(loud) else len(audio)
    kept = audio[lo:hi].copy()
    if fade:
        n = min(FADE_MS * HEARING_RATE_HZ // 1000, len(kept))
        kept[len(kept) - n :] *= np.linspace(1, 0, n, dtype=np.float32)
    return kept


def _pause_ms(chance: random.Random) -> int:
    """Even on a logarithmic scale."""
    return round(math.exp(chance.uniform(math.log(SHORTEST_PAUSE_MS), math.log(LONGEST_PAUSE_MS))))


def _quietest(audio: Samples) -> int:
    step = int(_QUIETEST_S * HEARING_RATE_HZ)
    first, last = len(audio) // 4 // step, 3 * len(audio) // 4 // step
    energy = np.square(audio[: last * step].reshape(-1, step)).mean(axis=1)[first:]
    return (first + int(energy.argmin())) * step + step // 2
