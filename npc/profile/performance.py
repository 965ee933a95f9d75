"""What a reply waits for besides its models, in a crowded scene: perceiving, grammar, prompt, and a face before audio.

Medians over many rounds, in milliseconds, with the built-in voice.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from npc.actions.agreement import Agreement
from npc.actions.markup import Act
from npc.actor import Actor
from npc.character import build_prompt
from npc.clock import MonotonicClock
from npc.curtain import Curtain
from npc.deeds import Deeds
from npc.errors import StageError
from npc.events import FaceChoice
from npc.feeling import Heart
from npc.moment import grammar_of, take_in
from npc.outbox import Outbox
from npc.profile.actions import crowded, demanding_library, median_ms
from npc.profile.face import SENTENCES
from npc.profile.spans import Trace
from npc.stages import Synthesiser
from npc.state import SessionState
from npc.testing import ScriptedSynthesiser, scripted_character
from npc.timeline import Timeline
from npc.turn import Speech, Voice
from npc.world import SceneDelta, apply_delta
from npc.writer import Lines

Report = dict[str, Any]  # JSON
CHOICES: tuple[FaceChoice, ...] = ("none", "visemes", "blendshapes", "both")


def run_performance_profile(synthesiser: Synthesiser, n_rounds: int = 50) -> Report:
    """`scene`: each piece of work at 500 things; `before_audio`: what a clause's audio waits for, by choice of face."""
    speech = asyncio.run(_spoken(synthesiser, SENTENCES[0]))
    return {
        "scene": _scene_report(n_rounds),
        "clause_s": round(len(speech.audio) / speech.rate_hz, 2),
        "before_audio": {face: median_ms_of(speech, face, n_rounds) for face in CHOICES},
    }


def _scene_report(n_rounds: int) -> Report:
    scene, actions = crowded(), demanding_library()
    character = scripted_character(actions=actions, scene=scene)
    state = SessionState(scene, Heart.at_first(character.temper))
    moment = take_in(character, state, scene, "Give me that one.", None, 0.0)
    delta = SceneDelta.model_validate({"objects": [{"id": "object_3", "position": [1, 2, 3]}]})

    def agree() -> None:
        agreement = Agreement(actions, scene, moment.gauges, moment.text)
        agreement.say("Here you are, my friend. I'll walk to the place number 7 now. Mind the step.")
        agreement.act(Act("walk_to", {"place": "place_7"}))
        agreement.end()

    return {
        "entities": len(scene.entities),
        "delta": median_ms(lambda: apply_delta(scene, delta), n_rounds),
        "take_in": median_ms(lambda: take_in(character, state, scene, "Give me that one.", None, 0.0), n_rounds),
        "grammar": median_ms(lambda: grammar_of(character, moment, None), n_rounds),
        "prompt": median_ms(lambda: build_prompt(character, scene, (), (), moment.text), n_rounds),
        "agreement": median_ms(agree, n_rounds),
    }


class _Recorded(ScriptedSynthesiser):
    """Has one clause ready."""

    def __init__(self, speech: Speech) -> None:
        super().__init__()
        self._speech = speech

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[Speech, None]:
        yield self._speech


class _TimedCurtain(Curtain):
    """Knows when audio was first about to be put."""

    first_audio_s: float | None = None

    async def room(self) -> None:
        if self.first_audio_s is None:
            self.first_audio_s = time.perf_counter()
        await super().room()


def median_ms_of(speech: Speech, face: FaceChoice, n_rounds: int) -> float:
    """From a clause's speech being there to its first frame of audio."""
    times = sorted(asyncio.run(_utter(speech, face)) for _ in range(n_rounds))
    return round(times[n_rounds // 2], 4)


async def _utter(speech: Speech, face: FaceChoice) -> float:
    clock, outbox = MonotonicClock(), Outbox(10_000)
    character = scripted_character(scene=crowded())
    state = SessionState(character.scene, Heart.at_first(character.temper))
    curtain = _TimedCurtain(outbox)
    curtain.rise()
    actor = Actor(
        character,
        take_in(character, state, character.scene, "Hello", None, 0.0),
        Timeline(1, speech.rate_hz),
        _Recorded(speech),
        curtain,
        Deeds(character.temper, state, outbox, clock),
        Trace(clock, 0.0),
        is_spoken=True,
        face=face,
    )
    lines: Lines = asyncio.Queue()
    for line in (speech.text, None):
        lines.put_nowait(line)
    start_s = time.perf_counter()
    await actor.play(lines)
    return 1000 * ((curtain.first_audio_s or start_s) - start_s)


async def _spoken(synthesiser: Synthesiser, sentence: str) -> Speech:
    async for part in synthesiser.speak(sentence, Voice("heart")):
        return part
    raise StageError("speech", f"nothing was spoken of '{sentence}'")
