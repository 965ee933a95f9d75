"""`npc eval voices`: is every voice understood, and does each sound like itself?

The engine's own recogniser listens, as it does in a conversation; `--listener
stock` is Whisper with its full window and beam search, as its authors run it.
Where only the first hears badly, the fault is the recogniser's.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from npc.stages import Synthesiser
    from npc.tts.measure import Portrait
    from npc.turn import Samples

    Listen = Callable[[Samples], Awaitable[str]]
    """The words in audio [n] at 16 kHz."""

SENTENCES = (
    "The road to the mountain village is closed until the snow melts.",
    "I have forged swords for the king's guard since I was a boy.",
    "If you bring me three pieces of silver, I will sharpen your blade.",
    "Do not go near the old mill after dark, whatever they tell you.",
    "Welcome back, my friend, it has been a long time.",
    "The noodles are fresh this morning, and the broth is very hot.",
    "Follow me to the well and mind the broken step.",
    "My grandmother used to tell me stories about the dragon in the lake.",
    "You look tired, so sit down by the fire and warm your hands.",
    "There is a merchant in the market who sells rare books and maps.",
    "I cannot open the gate without the captain's permission.",
    "She left before sunrise and took the path through the forest.",
    "How much would you pay for a good pair of leather boots?",
    "The bridge was destroyed in the storm last winter.",
    "Please take this letter to the doctor at the end of the street.",
    "We have seen strange lights in the sky for the past two weeks.",
    "That is the finest horse in the whole valley, and it is not for sale.",
    "Keep your voice down, the guards are listening at the door.",
    "I would rather work all night than miss the summer festival.",
    "Be careful with that bottle, the medicine inside is very strong.",
)
PLAIN = "heart"


class Listener(StrEnum):
    STOCK = "stock"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class VoiceReport:
    voice: str
    word_error_rate: float
    """Percent of the words of all sentences."""
    points_over_plain: float
    f0_hz: float
    centroid_hz: float
    ms_per_s: float
    """Work for a second of audio."""
    nearest: str
    """The voice that it sounds most like, and how far that is in pitch and in timbre."""
    nearest_semitones: float
    nearest_timbre_db: float


def voices(
    names: Annotated[list[str] | None, typer.Argument(help="Voices; all without one.")] = None,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    recogniser: Annotated[str, typer.Option(help="The model that listens.")] = "whisper-tiny.en",
    listener: Annotated[Listener, typer.Option(help="How it listens.")] = Listener.ENGINE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Have each voice say twenty sentences and the recogniser write them down."""
    from npc.config import Speaking
    from npc.errors import NpcError
    from npc.models import ModelStore
    from npc.tts import VOICES, load_synthesiser

    try:
        if unknown := [name for name in names or () if name not in VOICES]:
            raise typer.BadParameter(f"voice '{unknown[0]}' is unknown; have {', '.join(VOICES)}")
        listen = listening(ModelStore(models_dir=models).ensure(recogniser), listener)
        reports = asyncio.run(report(load_synthesiser(Speaking()), listen, names or list(VOICES)))
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in reports], indent=2))
    else:
        _print(reports)


def listening(folder: Path, listener: Listener = Listener.STOCK) -> "Listen":
    """A way to hear with the CTranslate2 Whisper in `folder`."""
    if listener is Listener.ENGINE:
        from npc.asr.whisper import WhisperRecogniser
        from npc.config import Recognition

        recogniser = WhisperRecogniser.load(folder, Recognition())

        async def as_the_engine(audio: "Samples") -> str:
            return (await recogniser.transcribe(audio, is_final=True)).text

        return as_the_engine

    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)

    async def as_its_authors(audio: "Samples") -> str:
        return " ".join(part.text for part in model.transcribe(audio, language="en")[0])

    return as_its_authors


async def report(
    synthesiser: "Synthesiser", listen: "Listen", names: list[str], sentences: Sequence[str] = SENTENCES
) -> list[VoiceReport]:
    """One row a voice, in the order of `names`; the plain voice is measured with them for comparison."""
    errors: dict[str, float] = {}
    portraits: dict[str, Portrait] = {}
    work: dict[str, float] = {}
    for name in dict.fromkeys([PLAIN, *names]):
        errors[name], portraits[name], work[name] = await _hear(synthesiser, listen, name, sentences)
    rows: list[VoiceReport] = []
    for name in names:
        own = portraits[name]
        others = [other for other in portraits if other != name]
        nearest = min(others, key=lambda other: _distance(own, portraits[other]), default=name)
        rows.append(
            VoiceReport(
                name,
                round(errors[name], 2),
                round(errors[name] - errors[PLAIN], 2),
                round(own.f0_hz, 1),
                round(own.centroid_hz, 1),
                round(work[name], 1),
                nearest,
                round(own.semitones_from(portraits[nearest]), 1),
                round(own.timbre_from(portraits[nearest]), 1),
            )
        )
    return rows


def _distance(one: "Portrait", other: "Portrait") -> float:
    return abs(one.semitones_from(other)) + one.timbre_from(other)


async def _hear(
    synthesiser: "Synthesiser", listen: "Listen", name: str, sentences: Sequence[str]
) -> "tuple[float, Portrait, float]":
    """Percent of words wrong, what the voice sounds like, and milliseconds of work for a second of audio."""
    import jiwer
    import numpy as np
    import soxr
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    from npc.tts.measure import portrait
    from npc.turn import HEARING_RATE_HZ, Voice

    normalise: Callable[[str], str] = EnglishTextNormalizer({})  # type: ignore[no-untyped-call]
    recordings: list[Samples] = []
    work_s = 0.0
    for sentence in sentences:
        start = time.perf_counter()
        parts = [speech.audio async for speech in synthesiser.speak(sentence, Voice(name))]
        work_s += time.perf_counter() - start
        recordings.append(np.concatenate(parts))
    rate_hz = synthesiser.rate_hz
    heard = [await listen(soxr.resample(audio, rate_hz, HEARING_RATE_HZ).astype(np.float32)) for audio in recordings]
    error = jiwer.wer([normalise(sentence) for sentence in sentences], [normalise(text) for text in heard])
    audio_s = sum(len(audio) for audio in recordings) / rate_hz
    return 100 * float(error), portrait(recordings, rate_hz), 1000 * work_s / audio_s


def _print(reports: list[VoiceReport]) -> None:
    from rich.console import Console
    from rich.table import Table

    columns = ("voice", "words wrong", "over plain", "f0", "centroid", "work", "nearest voice")
    table = Table(*columns, box=None, header_style="bold", title=f"{len(SENTENCES)} sentences, recognised back")
    for row in reports:
        table.add_row(
            row.voice,
            f"{row.word_error_rate:.1f} %",
            f"{row.points_over_plain:+.1f}",
            f"{row.f0_hz:.0f} Hz",
            f"{row.centroid_hz:.0f} Hz",
            f"{row.ms_per_s:.0f} ms/s",
            f"{row.nearest}: {row.nearest_semitones:+.1f} semitones, {row.nearest_timbre_db:.1f} dB",
        )
    Console().print(table)
