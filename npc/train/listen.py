"""Speaks authored utterances in many voices, with noise and by telephone, and writes down what the recogniser hears.

Three synthesisers, so that no voice's habits are learnt: the engine's own in
all its voices, and flite and espeak-ng where they are installed.
"""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from random import Random

import numpy as np

from npc.asr.whisper import WhisperRecogniser
from npc.audio.resample import resample
from npc.character import Character
from npc.config import Recognition, Speaking
from npc.evaluate.cases import REQUEST_KINDS, Case
from npc.models import ModelStore
from npc.moment import names_around
from npc.train.corpus import load_corpus
from npc.train.generate import examples
from npc.tts.hibari import HibariSynthesiser
from npc.turn import HEARING_RATE_HZ, Samples, Voice

NOISE_DB = (40.0, 20.0, 12.0, 8.0, 5.0)
"""Signal over noise."""
OTHER_SHARE = 0.3
"""Of utterances that another synthesiser speaks, where one is installed."""
TELEPHONE_SHARE = 0.15
_FLITE = ("kal16", "awb", "rms", "slt")
_ESPEAK = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp")


def spoken_utterances(n: int, seed: int) -> list[str]:
    """What players say in examples of this seed, each once."""
    found: dict[str, None] = {}
    for example in examples(load_corpus(), 4 * n, seed):
        for line in (message.content.splitlines()[-1] for message in example.messages if message.role == "user"):
            if not line.startswith("(") and len(found) < n:
                found.setdefault(line)
    return list(found)


def spoken_words(n: int = 4000, seed: int = 99) -> set[str]:
    """The words of players in so many examples, and of all that is around them."""
    corpus = load_corpus()
    texts = [
        message.content for each in examples(corpus, n, seed) for message in each.messages if message.role == "user"
    ]
    texts += [each.name for world in corpus.worlds for each in (*world.places, *world.objects, *world.people)]
    return {word for text in texts for word in re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())}


def pairs_heard(n: int, seed: int) -> Iterator[tuple[str, str]]:
    """(spoken, heard). Raises ModelError where the models cannot be had."""
    yield from hear(spoken_utterances(n, seed), seed)


def heard_cases(cases: Sequence[Case], cast: Mapping[str, Character], seed: int = 5) -> Iterator[Case]:
    """Clean requests of an evaluation as a session hears them in the engine's own voices, mistakes or none."""
    clean = [case for case in cases if case.kind in REQUEST_KINDS]
    names = [names_around(cast[case.character], case.scene or cast[case.character].scene) for case in clean]
    pairs = hear([case.utterance for case in clean], seed, NOISE_DB[:-1], other_share=0, around=names)
    for case, (_, heard) in zip(clean, pairs, strict=True):
        if heard:
            yield case.model_copy(update={"id": f"{case.id}-heard", "kind": "heard", "utterance": heard})


def hear(
    texts: list[str],
    seed: int,
    noise_db: tuple[float, ...] = NOISE_DB,
    other_share: float = OTHER_SHARE,
    around: Sequence[Sequence[str]] = (),
) -> Iterator[tuple[str, str]]:
    """(spoken, heard); `around` has for each text what the recogniser is told of."""
    store = ModelStore()
    settings = Recognition()
    recogniser = WhisperRecogniser.load(store.ensure(settings.model), settings)
    synthesiser = HibariSynthesiser.load(Speaking())
    random, noise = Random(seed), np.random.default_rng(seed)
    voices = sorted(synthesiser.voices)
    others = [name for name in ("flite", "espeak-ng") if shutil.which(name)]
    with asyncio.Runner() as runner:
        for text, names in zip(texts, around or [()] * len(texts), strict=True):
            speed = random.uniform(0.9, 1.25)
            if others and random.random() < other_share:
                audio = _spoken_by(random.choice(others), text, speed, random)
            else:
                audio = runner.run(_speak(synthesiser, text, Voice(random.choice(voices), speed=speed)))
            if random.random() < TELEPHONE_SHARE:
                audio = _by_telephone(audio)
            audio = _degraded(audio, random.choice(noise_db), noise, is_pink=random.random() < 0.4)
            heard = runner.run(recogniser.transcribe(audio, is_final=True, around=names))
            yield text, heard.text


async def _speak(synthesiser: HibariSynthesiser, text: str, voice: Voice) -> Samples:
    parts: list[Samples] = []
    async with aclosing(synthesiser.speak(text, voice)) as speeches:
        async for speech in speeches:
            parts.append(speech.audio)  # noqa: PERF401  (a comprehension cannot be left early)
    if not parts:
        return np.zeros(HEARING_RATE_HZ, np.float32)
    return resample(np.concatenate(parts), synthesiser.rate_hz, HEARING_RATE_HZ)


def _spoken_by(program: str, text: str, speed: float, random: Random) -> Samples:
    """By a synthesiser of the system, which writes a WAV file to its standard output."""
    if program == "flite":
        stretch = f"duration_stretch={1 / speed:.2f}"
        command = ["flite", "-voice", random.choice(_FLITE), "--setf", stretch, "-t", text, "-o", "/dev/stdout"]
    else:
        command = ["espeak-ng", "-v", random.choice(_ESPEAK), "-s", str(round(160 * speed)), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    # Both write a length of zero or nonsense into the header of a pipe, so the samples are taken as they are.
    rate_hz = int.from_bytes(wav[24:28], "little")
    audio: Samples = np.frombuffer(wav[44 : 44 + (len(wav) - 44) // 2 * 2], "<i2").astype(np.float32) / np.float32(
        32768
    )
    return resample(audio, rate_hz, HEARING_RATE_HZ)


def _by_telephone(audio: Samples) -> Samples:
    """300 to 3,400 Hz."""
    spectrum = np.fft.rfft(audio)
    hz = np.fft.rfftfreq(len(audio), 1 / HEARING_RATE_HZ)
    spectrum[(hz < 300) | (hz > 3400)] = 0
    narrow: Samples = np.fft.irfft(spectrum, len(audio)).astype(np.float32)
    return narrow


def _degraded(audio: Samples, decibels: float, noise: np.random.Generator, is_pink: bool) -> Samples:
    added = noise.standard_normal(len(audio), np.float32)
    if is_pink:
        spectrum = np.fft.rfft(added)
        added = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), len(audio)).astype(np.float32)
        added /= max(float(added.std()), 1e-9)
    power = float(np.sqrt(np.mean(audio**2))) / 10 ** (decibels / 20)
    return (audio + power * added).astype(np.float32)
