"""Speaks authored utterances in every voice, with noise and by telephone, and writes down what the recogniser hears."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from random import Random

import numpy as np

from npc.asr.whisper import WhisperRecogniser
from npc.audio.resample import resample
from npc.config import Recognition, Speaking
from npc.models import ModelStore
from npc.train.corpus import load_corpus
from npc.train.generate import examples
from npc.tts.hibari import HibariSynthesiser
from npc.turn import HEARING_RATE_HZ, Samples, Voice

NOISE_DB = (40.0, 20.0, 12.0, 8.0)
"""Signal over noise."""


def spoken_utterances(n: int, seed: int) -> list[str]:
    """What players say in examples of this seed, each once."""
    found: dict[str, None] = {}
    for example in examples(load_corpus(), 4 * n, seed):
        found.setdefault(example.messages[-1].content.splitlines()[-1])
        if len(found) == n:
            break
    return list(found)


def pairs_heard(n: int, seed: int) -> Iterator[tuple[str, str]]:
    """(spoken, heard). Raises ModelError where the models cannot be had."""
    yield from hear(spoken_utterances(n, seed), seed)


def hear(texts: list[str], seed: int) -> Iterator[tuple[str, str]]:
    store = ModelStore()
    settings = Recognition()
    recogniser = WhisperRecogniser.load(store.ensure(settings.model), settings)
    synthesiser = HibariSynthesiser.load(Speaking())
    random, noise = Random(seed), np.random.default_rng(seed)
    voices = sorted(synthesiser.voices)
    with asyncio.Runner() as runner:
        for text in texts:
            audio = runner.run(_speak(synthesiser, text, Voice(random.choice(voices), speed=random.uniform(0.9, 1.25))))
            audio = _degraded(audio, random.choice(NOISE_DB), noise)
            heard = runner.run(recogniser.transcribe(audio, is_final=True))
            yield text, heard.text


async def _speak(synthesiser: HibariSynthesiser, text: str, voice: Voice) -> Samples:
    parts: list[Samples] = []
    async with aclosing(synthesiser.speak(text, voice)) as speeches:
        async for speech in speeches:
            parts.append(speech.audio)  # noqa: PERF401  (a comprehension cannot be left early)
    if not parts:
        return np.zeros(HEARING_RATE_HZ, np.float32)
    return resample(np.concatenate(parts), synthesiser.rate_hz, HEARING_RATE_HZ)


def _degraded(audio: Samples, decibels: float, noise: np.random.Generator) -> Samples:
    power = float(np.sqrt(np.mean(audio**2))) / 10 ** (decibels / 20)
    return (audio + noise.normal(0, power, len(audio))).astype(np.float32)
