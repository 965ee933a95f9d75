"""What recognition is measured on: recordings of people, and sentences of players spoken by flite and espeak-ng.

Never the engine's own voice: the recogniser would be judged on what it hears best.
"""

import csv
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from npc.audio.files import read_audio
from npc.audio.resample import resample
from npc.errors import InputError
from npc.turn import HEARING_RATE_HZ, Samples

SENTENCES = (
    "Where can I find the old mill?",
    "How much is the long sword by the door?",
    "Good morning, did you sleep well?",
    "Could you mend this shield before nightfall?",
    "Walk to the well with me, please.",
    "Tell me about the war in the north.",
    "I would like to buy some bread and a bottle of water.",
    "Who lives in the house on the hill?",
    "Give me the hammer.",
    "What happened to your brother?",
    "I found this ring in the forest.",
    "Is the bridge safe to cross at night?",
    "You owe me twenty silver coins.",
    "Stop, put down your weapon!",
    "Do you know the way to the harbor?",
    "I have never seen a dragon before.",
    "Can you teach me how to make a knife?",
    "The guards are looking for a thief.",
    "Yes, that sounds good to me.",
    "No, thank you, I am not hungry.",
    "What is the best dish on the menu tonight?",
    "Two bowls of noodles with extra egg, please.",
    "How long have you been working here?",
    "Turn left at the market and follow the river.",
    "Why is everybody afraid of the tower?",
    "Follow me, and stay close behind.",
    "Have you heard any news from the city?",
    "I need a place to sleep for the night.",
    "Please open the gate.",
    "Where do I get a ticket for the train?",
    "Show me how to fly.",
    "What can I do in this world?",
    "My friend is hurt and needs a doctor.",
    "Wait here until I come back.",
    "That is far too expensive for an old horse.",
    "Let us meet at the fountain at seven.",
    "Are there any monsters in the cave?",
    "I am looking for the captain of the ship.",
    "What do you think about the new king?",
    "Thank you for your help, goodbye.",
    "Can I pay with gold instead?",
    "It rained for three days and the road is gone.",
    "Give this letter to the woman in the red coat.",
    "What was your name again?",
)

# A command a voice; {text} and {file} are filled in.
VOICES = {
    "flite slt": ("flite", "-voice", "slt", "-t", "{text}", "-o", "{file}"),
    "flite rms": ("flite", "-voice", "rms", "-t", "{text}", "-o", "{file}"),
    "flite awb": ("flite", "-voice", "awb", "-t", "{text}", "-o", "{file}"),
    "espeak en-us": ("espeak-ng", "-v", "en-us", "-s", "150", "-w", "{file}", "{text}"),
    "espeak en-gb": ("espeak-ng", "-v", "en-gb-x-rp", "-s", "165", "-w", "{file}", "{text}"),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """`audio` [n] at 16 kHz and the words that are spoken in it; `group` says by whom or how."""

    group: str
    words: str
    audio: Samples


def synthesised(sentences: Sequence[str] = SENTENCES, voices: Iterable[str] | None = None) -> Iterator[Clip]:
    """Every sentence in every voice whose program is installed."""
    for voice in VOICES if voices is None else voices:
        if is_installed(voice):
            for sentence in sentences:
                yield Clip(voice, sentence, spoken(voice, sentence))


def is_installed(voice: str) -> bool:
    return shutil.which(VOICES[voice][0]) is not None


def spoken(voice: str, sentence: str) -> Samples:
    """`sentence` in an installed voice, [n] at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spoken.wav"
        command = [part.format(text=sentence, file=file) for part in VOICES[voice]]
        subprocess.run(command, check=True, capture_output=True)
        return read_audio(file, HEARING_RATE_HZ)[0]


def recorded(folder: Path) -> list[Clip]:
    """The recordings in `folder`, at any rate.

    Their words stand in a transcripts.tsv or .csv (file, words) or in a table
    of README.md whose first column is the file and whose last the words.
    Raises InputError when there is none of these, or a file is missing.
    """
    named = _listed(folder)
    return [Clip("people", words, read_audio(folder / name, HEARING_RATE_HZ)[0]) for name, words in named]


def with_noise(clip: Clip, snr_db: float, seed: int) -> Clip:
    """White noise at a level below the clip's own."""
    noise = np.random.default_rng(seed).standard_normal(len(clip.audio)).astype(np.float32)
    level = float(np.sqrt(np.mean(np.square(clip.audio)))) * 10 ** (-snr_db / 20)
    return replace(clip, group=f"noise at {snr_db:.0f} dB", audio=clip.audio + level * noise)


def by_telephone(clip: Clip) -> Clip:
    """Through a line of 8 kHz."""
    narrow = resample(clip.audio, HEARING_RATE_HZ, 8_000)
    return replace(clip, group="telephone, 8 kHz", audio=resample(narrow, 8_000, HEARING_RATE_HZ))


def _listed(folder: Path) -> list[tuple[str, str]]:
    for name, delimiter in (("transcripts.tsv", "\t"), ("transcripts.csv", ",")):
        if (folder / name).is_file():
            with (folder / name).open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file, delimiter=delimiter) if len(row) > 1]
            return [(row[0], row[1]) for row in rows if Path(row[0]).suffix]  # a heading has none
    if (folder / "README.md").is_file():
        return _table((folder / "README.md").read_text(encoding="utf-8"), folder)
    raise InputError(f"{folder}: no transcripts.tsv, transcripts.csv or README.md says what is spoken in which file")


def _table(markdown: str, folder: Path) -> list[tuple[str, str]]:
    """Rows of a table that name a file; `…-2.wav` stands for the file of that ending."""
    rows: list[tuple[str, str]] = []
    for line in markdown.splitlines():
        cells = [cell.strip(" `") for cell in line.strip().strip("|").split("|")]
        if len(cells) < 2 or Path(cells[0]).suffix not in (".wav", ".flac"):
            continue
        found = sorted(folder.glob(cells[0].replace("…", "*")))
        if len(found) != 1:
            raise InputError(f"{folder}/README.md: '{cells[0]}' names {len(found)} files; one is wanted")
        rows.append((found[0].name, cells[-1]))
    return rows
