"""`npc eval hearing`: word error rate and time of the recogniser, beside stock faster-whisper on the same weights.

Both hear the same clips in turns, so that a busy machine slows both alike.
"""

import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from npc.asr.material import Clip
    from npc.stages import Recogniser
    from npc.turn import Samples

    Listen = Callable[[Samples], str]
    """The words in audio [n] at 16 kHz."""

MAX_POINTS_WORSE = 1.0
ALL = "all"


@dataclass(frozen=True, slots=True)
class Hearing:
    """One clip, heard by both. Times in milliseconds."""

    group: str
    audio_ms: float
    words: str
    ours: str
    stock: str
    ours_ms: float
    stock_ms: float
    is_full_window: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Word error rates in percent; medians of the milliseconds."""

    group: str
    n_clips: int
    ours: float
    stock: float
    ours_ms: float
    stock_ms: float
    full_window: float
    """Percent of the clips that needed Whisper's full window."""


def hearing(
    recordings: Annotated[
        Path | None, typer.Option(help="A folder of recordings with a transcripts.tsv, .csv or README.md table.")
    ] = None,
    sentences: Annotated[int, typer.Option(min=0, help="How many sentences each synthetic voice speaks.")] = 44,
    model: Annotated[str, typer.Option(help="The recogniser's model.")] = "whisper-tiny.en",
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    show_errors: Annotated[bool, typer.Option("--errors", help="List what was misheard.")] = False,
) -> None:
    """Word error rate and speed of hearing, side by side with stock faster-whisper.

    Ends with exit code 1 when ours is worse by more than a point in all.
    """
    from npc.asr.whisper import WhisperRecogniser
    from npc.config import Recognition
    from npc.errors import NpcError
    from npc.models import ModelStore

    try:
        clips = list(material(recordings, sentences))
        folder = ModelStore(models_dir=models).ensure(model)
        settings = Recognition(model=model)
        ours, stock = WhisperRecogniser.load(folder, settings), stock_listener(folder)
        heard = asyncio.run(listen(clips, ours, stock))
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    rows, lengths = report(heard), by_length(heard)
    if as_json:
        found = {"groups": [asdict(row) for row in rows], "lengths": [asdict(row) for row in lengths]}
        typer.echo(json.dumps(found, indent=2))
    else:
        _print(rows, lengths, heard if show_errors else [])
    if rows[-1].ours > rows[-1].stock + MAX_POINTS_WORSE:
        raise typer.Exit(1)


def material(recordings: Path | None, n_sentences: int) -> "Iterator[Clip]":
    """Clean clips of every voice, then a part of them with noise and by telephone.

    Raises InputError when that is nothing.
    """
    from npc.asr.material import SENTENCES, by_telephone, recorded, synthesised, with_noise
    from npc.errors import InputError

    people = recorded(recordings) if recordings is not None else []
    spoken = list(synthesised(SENTENCES[:n_sentences]))
    if not people and not spoken:
        raise InputError("nothing to hear: give --recordings, or install flite or espeak-ng")
    yield from people
    yield from spoken
    n_voices = max(len(spoken) // n_sentences, 1) if n_sentences else 1
    # every sentence once, in one voice after another
    some = people + [spoken[i + (i % n_voices) * n_sentences] for i in range(min(n_sentences, len(spoken)))]
    for i, clip in enumerate(some):
        yield with_noise(clip, 20, i)
    for i, clip in enumerate(some):
        yield with_noise(clip, 10, i)
    for clip in some:
        yield by_telephone(clip)


def stock_listener(folder: Path) -> "Listen":
    """faster-whisper as it comes: windows of 30 s, beam 5, temperature fallback, up to 4 threads."""
    from faster_whisper import WhisperModel

    n_threads = min(os.cpu_count() or 1, 4)
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=n_threads, local_files_only=True)
    return lambda audio: " ".join(part.text.strip() for part in model.transcribe(audio, language="en")[0])


async def listen(clips: "Sequence[Clip]", ours: "Recogniser", stock: "Listen") -> list[Hearing]:
    """Both hear every clip, in turns; texts are normalised as Whisper's authors score them."""
    from rich.console import Console
    from rich.progress import track
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normalise: Callable[[str], str] = EnglishTextNormalizer({})  # type: ignore[no-untyped-call]
    heard: list[Hearing] = []
    for clip in track(clips, "Listening", console=Console(stderr=True), transient=True):
        start = time.perf_counter()
        transcript = await ours.transcribe(clip.audio, is_final=True)
        middle = time.perf_counter()
        stock_text = stock(clip.audio)
        end = time.perf_counter()
        heard.append(
            Hearing(
                group=clip.group,
                audio_ms=transcript.audio_ms,
                words=normalise(clip.words),
                ours=normalise(transcript.text),
                stock=normalise(stock_text),
                ours_ms=(middle - start) * 1e3,
                stock_ms=(end - middle) * 1e3,
                is_full_window=transcript.window == "full",
            )
        )
    return heard


def report(heard: Sequence[Hearing]) -> list[Row]:
    """A row a group in the order in which they were heard, and one for all."""
    groups: dict[str, list[Hearing]] = defaultdict(list)
    for hearing in heard:
        groups[hearing.group].append(hearing)
    return [*(_row(group, of_group) for group, of_group in groups.items()), _row(ALL, heard)]


def by_length(heard: Sequence[Hearing]) -> list[Row]:
    """The same by how long the clips are."""
    buckets = (("up to 2 s", 0, 2e3), ("2 to 4 s", 2e3, 4e3), ("4 to 8 s", 4e3, 8e3), ("over 8 s", 8e3, float("inf")))
    chosen = [(name, [one for one in heard if lo < one.audio_ms <= hi]) for name, lo, hi in buckets]
    return [_row(name, of_length) for name, of_length in chosen if of_length]


def _row(group: str, heard: Sequence[Hearing]) -> Row:
    import jiwer

    words = [one.words for one in heard]
    return Row(
        group=group,
        n_clips=len(heard),
        ours=round(100 * jiwer.wer(words, [one.ours for one in heard]), 2),
        stock=round(100 * jiwer.wer(words, [one.stock for one in heard]), 2),
        ours_ms=round(median(one.ours_ms for one in heard), 1),
        stock_ms=round(median(one.stock_ms for one in heard), 1),
        full_window=round(100 * sum(one.is_full_window for one in heard) / len(heard), 1),
    )


def _print(rows: Sequence[Row], lengths: Sequence[Row], errors: Sequence[Hearing]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for title, chosen in (("What was spoken", rows), ("By length", lengths)):
        table = Table(title=title)
        for heading in ("", "clips", "WER %", "stock %", "ms", "stock ms", "full window %"):
            table.add_column(heading, justify="right" if heading else "left")
        for row in chosen:
            if row.group == ALL:
                table.add_section()
            table.add_row(*(str(value) for value in asdict(row).values()))
        console.print(table)
    for one in errors:
        if one.ours != one.words:
            console.print(
                f"[bold]{one.group}[/]: {one.words}\n  ours  {one.ours}\n  stock {one.stock}", highlight=False
            )
