"""What is begun before the turn is over, on virtual time: what it saves, what it costs, to whom it gives way."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from npc.config import Settings
from npc.errors import StageError
from npc.events import (
    ErrorEvent,
    PlayerText,
    ReplyEnded,
    SpeechStopped,
    TurnMetrics,
)
from npc.frames import AudioFrame
from npc.testing import (
    REPLY_RATE_HZ,
    Conversation,
    ScriptedLanguageModel,
    ScriptedMemory,
    ScriptedRecogniser,
    ScriptedSpeech,
    ScriptedSynthesiser,
    scripted_engine,
    silence,
    virtual_time,
    with_endpoint,
)
from npc.turn import Passage
from npc.world import Entity, Scene

WORD = REPLY_RATE_HZ // 5  # 200 ms of reply
SCENE = Scene(places=(Entity(id="well"), Entity(id="inn")))


@virtual_time
async def test_the_reply_is_ready_when_the_turn_ends_because_it_was_begun_at_the_pause() -> None:
    speech = ScriptedSpeech()
    recogniser = ScriptedRecogniser(speech, delay_ms=10)
    llm = ScriptedLanguageModel(["Yes."], prefill_ms=10, word_ms=5)
    engine = scripted_engine(
        speech,
        recogniser=recogniser,
        llm=llm,
        synthesiser=ScriptedSynthesiser(delay_ms=10),
        settings=with_endpoint(600),
    )
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Are you there", 600), silence(900))
        stopped_ms, first_audio_ms = talk.when(SpeechStopped), talk.when(AudioFrame)
        assert first_audio_ms == stopped_ms, "what is ready leaves with the end of the turn"
        assert recogniser.n_finals == 1
        metrics = talk.the(TurnMetrics)
        assert metrics.voice_to_voice_ms == pytest.approx(first_audio_ms - talk.last_played_ms, abs=60)
        spans = {span.name: span for span in metrics.spans}
        assert spans["tts"].end_ms < spans["endpoint"].end_ms


@virtual_time
async def test_without_speculation_the_reply_is_begun_when_the_turn_is_over() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["Yes."])
    still = Settings.model_validate({"turn_taking": {"speculates": False, "judges_pauses": False, "endpoint_ms": 400}})
    engine = scripted_engine(speech, llm=llm, settings=still)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Are you there", 600), silence(1000))
        await talk.until(ReplyEnded)
        spans = {span.name: span for span in talk.the(TurnMetrics).spans}
        assert spans["asr"].end_ms < spans["endpoint"].end_ms <= spans["retrieve"].start_ms
        speculation = talk.the(TurnMetrics).speculation
        assert speculation is not None
        assert speculation.saved_ms == 0


@virtual_time
async def test_speculation_gives_way_to_replies_that_are_due() -> None:
    assert await _was_begun_ahead(beside=1)
    assert not await _was_begun_ahead(beside=2)


@virtual_time
async def test_a_reply_that_is_given_up_before_it_began_is_waited_for_no_more() -> None:
    engine = scripted_engine(ScriptedSpeech(), ["Yes."])
    async with Conversation(engine, "mira") as talk:
        for text in ("Well?", "Nobody?", "You there!"):  # in one go: the first two are broken off unbegun
            talk.tell(PlayerText(text=text))
        await talk.until(ReplyEnded, 3)
        assert len(talk.session._speaker._company.stages.demand) == 0


async def _was_begun_ahead(beside: int) -> bool:
    """Whether a reply was begun before its turn was over, while `beside` others were due."""
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, llm=ScriptedLanguageModel(["Yes."], prefill_ms=1500), settings=with_endpoint(900))
    async with AsyncExitStack() as stack:
        for _ in range(beside):
            other = await stack.enter_async_context(Conversation(engine, "mira"))
            other.tell(PlayerText(text="Well?"))
        talk = await stack.enter_async_context(Conversation(engine, "mira"))
        await talk.play(speech.say("Are you there", 600), silence(3000))
        await talk.until(ReplyEnded)
        spans = {span.name: span for span in talk.the(TurnMetrics).spans}
        return spans["retrieve"].start_ms < spans["endpoint"].end_ms


@virtual_time
async def test_a_turn_accounts_for_what_was_begun_in_vain() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["One two three four.", "Five."], prefill_ms=10, word_ms=5)
    engine = scripted_engine(speech, llm=llm, settings=with_endpoint(700))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("I would like", 500), silence(500), speech.say("a sword", 500), silence(900))
        await talk.until(TurnMetrics)
        speculation = talk.the(TurnMetrics).speculation
        assert speculation is not None
        assert (speculation.n_thrown_away, speculation.n_tokens_thrown_away) == (1, 4)
        assert speculation.audio_ms_thrown_away == 800
        assert speculation.saved_ms > 0


@virtual_time
async def test_the_prompt_is_read_with_the_words_so_far_while_the_player_speaks() -> None:
    speech = ScriptedSpeech()
    llm, memory = ScriptedLanguageModel(["Deep."]), ScriptedMemory([Passage("It is deep.", "well.md", "The well")])
    engine = scripted_engine(speech, llm=llm, memory=memory)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("tell me about the old well over there", 1600), silence(900))
        await talk.until(ReplyEnded)
        ahead = [messages[-1].content for messages in llm.prefilled if "It is deep." in messages[-1].content]
        assert ahead, "knowledge was looked up and read before the player had finished"
        assert ahead[0].splitlines()[-1] in "tell me about the old well over there"


@virtual_time
async def test_a_failure_of_a_reply_that_was_thrown_away_is_nobodys_business() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel([StageError("llm", "too early"), "Fine."], prefill_ms=10)
    engine = scripted_engine(speech, llm=llm, settings=with_endpoint(600))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("I would like", 500), silence(400), speech.say("a sword", 500), silence(900))
        await talk.until(ReplyEnded)
        assert not talk.all(ErrorEvent)
        assert talk.the(ReplyEnded).text == "Fine."


@virtual_time
async def test_the_prompt_is_read_ahead_at_the_start_and_when_the_player_begins_to_speak() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["Yes."])
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira") as talk:
        await asyncio.sleep(0.5)
        assert len(llm.prefilled) == 1
        await talk.play(speech.say("Hello", 400), silence(900))
        await talk.until(ReplyEnded)
        assert len(llm.prefilled) >= 2
        prompt = llm.prompts[0]
        assert prompt[: len(llm.prefilled[1])] == llm.prefilled[1], "what was read ahead is how the prompt begins"
