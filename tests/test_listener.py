"""How what is heard at a pause decides how long it may be."""

from dataclasses import replace

import pytest

from npc.config import Settings, TurnTaking
from npc.engine import Engine
from npc.errors import StageError
from npc.events import SpeechStopped, TurnMetrics
from npc.testing import Conversation, ScriptedSpeech, scripted_engine, silence, virtual_time
from npc.turn import Samples


class SoundsFinished:
    """An `EndOfTurn` that always says the same; asked for nothing, it fails."""

    def __init__(self, probability: float | None) -> None:
        self.n_asked = 0
        self._probability = probability

    async def probability(self, audio: Samples) -> float:
        self.n_asked += 1
        if self._probability is None:
            raise StageError("end of turn", "it was told to fail")
        return self._probability


def engine_with(speech: ScriptedSpeech, judge: SoundsFinished, *, is_on: bool = True) -> Engine:
    engine = scripted_engine(speech, settings=Settings(turn_taking=TurnTaking(smart_turn=is_on)))
    engine._stages = replace(engine._stages, end_of_turn=judge)
    return engine


async def wait_ms(judge: SoundsFinished, *, is_on: bool = True) -> float:
    """From the last sound of a question to the end of the turn."""
    speech = ScriptedSpeech()
    async with Conversation(engine_with(speech, judge, is_on=is_on), "mira") as talk:
        await talk.play(speech.say("How much is it?", 800), silence(3000))
        return talk.when(SpeechStopped) - talk.last_played_ms


@virtual_time
async def test_a_voice_that_sounds_finished_is_answered_sooner_and_one_that_does_not_later() -> None:
    finished, unsure, unfinished = [await wait_ms(SoundsFinished(p)) for p in (0.97, 0.5, 0.03)]
    assert finished + 200 < unsure < unfinished - 200


@virtual_time
async def test_where_the_settings_do_not_ask_for_it_the_sound_is_not_judged() -> None:
    judge = SoundsFinished(0.97)
    assert await wait_ms(judge, is_on=False) == pytest.approx(await wait_ms(SoundsFinished(0.5)), abs=1)
    assert judge.n_asked == 0


@virtual_time
async def test_a_judge_that_fails_leaves_the_words_to_decide() -> None:
    assert await wait_ms(SoundsFinished(None)) == pytest.approx(await wait_ms(SoundsFinished(0.5)), abs=1)


@virtual_time
async def test_a_pause_that_was_judged_finished_is_judged_anew_when_the_player_goes_on() -> None:
    speech, judge = ScriptedSpeech(), SoundsFinished(0.5)
    async with Conversation(engine_with(speech, judge), "mira") as talk:
        await talk.play(speech.say("Is it far", 600), silence(200), speech.say("to the old mill?", 600), silence(3000))
        await talk.until(TurnMetrics)
    assert judge.n_asked == 2
    assert len(talk.all(SpeechStopped)) == 1
