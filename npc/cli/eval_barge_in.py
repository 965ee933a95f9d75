"""`npc eval barge-ins`: how soon a reply falls silent under a voice, and how often under echo, noise and music.

Offline and in audio time, with the engine's own ear: what the models and the network take
comes on top. `npc profile barge-in` measures the same through a server, in real time.
"""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from npc.config import TurnTaking

if TYPE_CHECKING:
    from npc.profile.overlaps import Overheard
    from npc.stages import Synthesiser, VoiceActivity
    from npc.turn import Samples

Found = dict[str, dict[str, dict[str, float]]]

ECHO_DB = (None, -20.0, -12.0, -6.0)
"""How loud what is played comes back, beside the player's voice; None: a headset."""
DELAYS_MS = (60, 120, 180, 300)
NOISE_DB = (-60.0, -40.0, -25.0)
"""Of the room, beside the voice."""
VOICE_RMS = 0.056
LEVEL_DB = (0.0, -6.0, -12.0)
"""Of voices, beside that."""
REPLY_RMS = 0.075
"""Of the engine's voices."""
SOUND_DB = (-12.0, -24.0)
"""The loudest sample of what is no voice; the loudest of a voice is at some -12."""
SENTENCES_A_VOICE = 12
REPLIES_A_TALK = 3
AFTER_S = (0.5, 1.8)
VOICE_S = 1.5
REPLY_S = 6.0
NOISE_S = 48.0


def barge_ins(
    recordings: Annotated[
        Path | None, typer.Option(help="A folder of recordings with a transcripts.tsv, .csv or README.md table.")
    ] = None,
    sounds: Annotated[Path | None, typer.Option(help="A folder of .wav, .ogg or .mp3 files without words.")] = None,
    voices: Annotated[int, typer.Option(min=1, help="How many voices speak over replies, in each room.")] = 240,
    replies: Annotated[int, typer.Option(min=1, help="How many replies nobody speaks over, in each room.")] = 60,
    seed: Annotated[int, typer.Option(help="Of who speaks when.")] = 0,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Falling silent: how soon under a voice, how often and how long under none."""
    from npc.errors import NpcError

    try:
        found = asyncio.run(_judge(recordings, sounds, voices, replies, seed, models))
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _print(found)


async def _judge(
    recordings: Path | None, sounds: Path | None, n_voices: int, n_replies: int, seed: int, models: Path | None
) -> "Found":
    from rich.console import Console
    from rich.progress import track

    from npc.config import Speaking
    from npc.models import ModelStore
    from npc.profile.overlaps import false_hushes, summary
    from npc.tts.hibari import HibariSynthesiser
    from npc.turntaking.vad import SileroVoiceActivity

    console = Console(stderr=True)
    vad = SileroVoiceActivity.load(ModelStore(models_dir=models).ensure("silero-vad"))
    synthesiser = HibariSynthesiser.load(Speaking())
    try:
        replies = [await _spoken(synthesiser, i, n_sentences=3) for i in range(len(synthesiser.voices))]
        voices = await _voices(synthesiser, recordings)
    finally:
        synthesiser.close()
    random.Random(seed).shuffle(voices)
    voices = (voices * (n_voices // len(voices) + 1))[:n_voices]
    found: Found = {"spoken over": {}, "not spoken over": {}, "beside other sounds": {}}
    for echo_db in track(ECHO_DB, "Speaking over replies", console=console, transient=True):
        room = "no echo" if echo_db is None else f"echo at {echo_db:g} dB"
        heard = await _speak_over(vad, synthesiser.rate_hz, replies, voices, echo_db, seed)
        found["spoken over"][f"{room}, a talk's first reply"] = summary(heard[::REPLIES_A_TALK])
        found["spoken over"][f"{room}, all replies"] = summary(heard)
        alone = await _make_noise(vad, synthesiser.rate_hz, replies, [_silence(REPLY_S)] * n_replies, echo_db, seed)
        found["not spoken over"][room] = false_hushes(alone)
    for name, noises in track(list(_noises(sounds, seed)), "Making noises", console=console, transient=True):
        for echo_db in ECHO_DB[:2]:
            room = "no echo" if echo_db is None else f"echo at {echo_db:g} dB"
            beside = await _make_noise(vad, synthesiser.rate_hz, replies, noises, echo_db, seed)
            found["beside other sounds"][f"{name}, {room}"] = false_hushes(beside)
    vad.close()
    return found


async def _spoken(synthesiser: "Synthesiser", i: int, n_sentences: int = 1) -> "Samples":
    """Some sentence in the `i`th voice, [n] at the synthesiser's rate; the voices take turns."""
    import numpy as np

    from npc.asr.material import SENTENCES
    from npc.turn import Voice

    words = " ".join(SENTENCES[(7 * i + k) % len(SENTENCES)] for k in range(n_sentences))
    voice = Voice(list(synthesiser.voices)[i % len(synthesiser.voices)])
    return np.concatenate([speech.audio async for speech in synthesiser.speak(words, voice)])


async def _voices(synthesiser: "Synthesiser", recordings: Path | None) -> "list[Samples]":
    """Everybody there is, [n] at 16 kHz, from the first sound on."""
    from npc.asr.material import SENTENCES, recorded, synthesised
    from npc.audio.resample import resample
    from npc.turn import HEARING_RATE_HZ

    said = [
        resample(await _spoken(synthesiser, i), synthesiser.rate_hz, HEARING_RATE_HZ)
        for i in range(SENTENCES_A_VOICE * len(synthesiser.voices))
    ]
    said += [clip.audio for clip in synthesised(SENTENCES[::2])]
    said += [clip.audio for clip in recorded(recordings)] if recordings is not None else ()
    return [_from_first_sound(audio) for audio in said]


def _from_first_sound(audio: "Samples") -> "Samples":
    import numpy as np

    return audio[int(np.argmax(np.abs(audio) > 0.02 * np.abs(audio).max())) :]


async def _speak_over(
    vad: "VoiceActivity",
    rate_hz: int,
    replies: "Sequence[Samples]",
    voices: "Sequence[Samples]",
    echo_db: float | None,
    seed: int,
) -> "list[Overheard]":
    """Each voice over a reply; a talk, with its room, its noise and its level, lasts for a few of them."""
    import numpy as np

    from npc.profile.overlaps import Talk
    from npc.profile.sounds import room_noise
    from npc.turn import HEARING_RATE_HZ

    chance = np.random.default_rng(seed)
    heard: list[Overheard] = []
    for i in range(0, len(voices), REPLIES_A_TALK):
        talk_no = i // REPLIES_A_TALK
        level = 10 ** (LEVEL_DB[talk_no % len(LEVEL_DB)] / 20)
        noise_rms = VOICE_RMS * level * 10 ** (NOISE_DB[talk_no // len(LEVEL_DB) % len(NOISE_DB)] / 20)
        talk = Talk(vad, TurnTaking(), rate_hz, _gain(echo_db, level), DELAYS_MS[talk_no % len(DELAYS_MS)])
        for k, voice in enumerate(voices[i : i + REPLIES_A_TALK], i):
            said = voice[: int(VOICE_S * HEARING_RATE_HZ)] * level * VOICE_RMS / _rms(voice)
            start = int(chance.uniform(*AFTER_S) * HEARING_RATE_HZ)
            sound = np.concatenate((np.zeros(start, np.float32), said))
            sound += noise_rms * room_noise(len(sound), chance)
            heard.append(await talk.play(replies[k % len(replies)], sound.astype(np.float32), start))
    return heard


async def _make_noise(
    vad: "VoiceActivity",
    rate_hz: int,
    replies: "Sequence[Samples]",
    noises: "Sequence[Samples]",
    echo_db: float | None,
    seed: int,
) -> "list[Overheard]":
    """Each noise beside a reply, and nobody speaks."""
    from npc.profile.overlaps import Talk

    heard: list[Overheard] = []
    for i in range(0, len(noises), REPLIES_A_TALK):
        talk = Talk(vad, TurnTaking(), rate_hz, _gain(echo_db, 1), DELAYS_MS[i // REPLIES_A_TALK % len(DELAYS_MS)])
        for k, noise in enumerate(noises[i : i + REPLIES_A_TALK], i):
            heard.append(await talk.play(replies[k % len(replies)], noise))
    return heard


def _gain(echo_db: float | None, level: float) -> float:
    return 0.0 if echo_db is None else level * VOICE_RMS / REPLY_RMS * 10 ** (echo_db / 20)


def _noises(folder: Path | None, seed: int) -> "Iterator[tuple[str, list[Samples]]]":
    """By name, in pieces as long as a reply, at several levels."""
    import numpy as np

    from npc.audio.files import read_audio
    from npc.profile.sounds import SOUNDS
    from npc.turn import HEARING_RATE_HZ

    made = {name: make(NOISE_S, np.random.default_rng(seed)) for name, make in SOUNDS.items()}
    files = (
        sorted(file for file in folder.iterdir() if file.suffix in (".wav", ".ogg", ".mp3", ".flac")) if folder else ()
    )
    for file in files:
        audio = read_audio(file, HEARING_RATE_HZ)[0][: int(NOISE_S * HEARING_RATE_HZ)]
        made[file.stem] = audio / max(float(np.abs(audio).max()), 1e-9)
    n = int(REPLY_S * HEARING_RATE_HZ)
    for name, sound in made.items():
        pieces = [sound[at : at + n] for at in range(0, len(sound), n)]
        yield name, [piece * 10 ** (level_db / 20) for level_db in SOUND_DB for piece in pieces]


def _silence(seconds: float) -> "Samples":
    import numpy as np

    from npc.turn import HEARING_RATE_HZ

    return np.zeros(int(seconds * HEARING_RATE_HZ), np.float32)


def _rms(audio: "Samples") -> float:
    """Of what is loud enough to be speech."""
    import numpy as np

    return float(np.sqrt(np.mean(np.square(audio[np.abs(audio) > 0.02 * np.abs(audio).max()]))))


def _print(found: "Found") -> None:
    from rich.console import Console
    from rich.table import Table

    for title, rows in found.items():
        table = Table(title=title, title_justify="left")
        table.add_column("")
        for heading in next(iter(rows.values())):
            table.add_column(heading.replace("_", " "), justify="right")
        for name, figures in rows.items():
            table.add_row(name, *(f"{value:g}" for value in figures.values()))
        Console().print(table)
