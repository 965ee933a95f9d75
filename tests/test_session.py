"""Conversations on virtual time, with scripted stages: who has the floor, what leaves when, what is remembered."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest

from npc.actions import ActionSpec, Nomination, load_library
from npc.config import Settings
from npc.errors import InputError, StageError
from npc.events import (
    ActionEvent,
    ActionResult,
    ErrorEvent,
    Interrupt,
    PassagesEvent,
    Playback,
    PlayerText,
    ReplyEnded,
    ReplyHushed,
    ReplyResumed,
    ReplyStarted,
    SceneUpdate,
    SessionStart,
    SpeechEnd,
    SpeechStart,
    SpeechStarted,
    SpeechStopped,
    TranscriptEvent,
    TurnMetrics,
    WordsEvent,
)
from npc.frames import AudioFrame
from npc.session import MAX_QUEUED_FRAMES, SessionClosed
from npc.state import Exchange
from npc.testing import (
    REPLY_RATE_HZ,
    Conversation,
    ScriptedLanguageModel,
    ScriptedMemory,
    ScriptedRecogniser,
    ScriptedSpeech,
    ScriptedSynthesiser,
    scripted_character,
    scripted_engine,
    silence,
    virtual_time,
)
from npc.turn import Passage
from npc.world import Entity, Scene

WORD = REPLY_RATE_HZ // 5  # 200 ms of reply
SCENE = Scene(places=(Entity(id="well"), Entity(id="inn")))


def actions(*names: str) -> list[ActionSpec]:
    library = load_library()
    return [library[name] for name in names]


def kinds(talk: Conversation) -> list[str]:
    """What came, in order, audio and repeated partials as one."""
    names = [type(event).__name__ for _, event in talk.came]
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]


@virtual_time
async def test_a_spoken_turn_goes_from_speech_to_audio_in_order() -> None:
    speech = ScriptedSpeech()
    memory = ScriptedMemory([Passage("The well is deep.", "knowledge/well.md", "The well")])
    engine = scripted_engine(speech, ["It is deep friend. [wave()]"], memory=memory, characters=[_waving()])
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("How deep is the well", 1000), silence(600))
        await talk.until(ReplyEnded)
        assert [kind for kind in kinds(talk) if kind != "AudioFrame"] == [
            "SpeechStarted",
            "TranscriptEvent",
            "SpeechStopped",
            "TranscriptEvent",
            "ReplyStarted",
            "PassagesEvent",
            "WordsEvent",
            "ActionEvent",
            "TurnMetrics",
            "ActionCommitted",
            "ReplyEnded",
        ]
        assert talk.all(TranscriptEvent)[-1] == TranscriptEvent(turn=1, text="How deep is the well", is_final=True)
        assert talk.the(PassagesEvent).passages[0].file == "knowledge/well.md"
        assert talk.the(WordsEvent).text == "It is deep friend."
        assert talk.the(ActionEvent).sample == 4 * WORD
        frames = talk.all(AudioFrame)
        assert [frame.first_sample for frame in frames] == sorted(frame.first_sample for frame in frames)
        assert frames[-1].is_last
        assert talk.heard_samples(1) == 4 * WORD
        assert talk.the(ReplyEnded) == ReplyEnded(
            turn=1, reason="done", text="It is deep friend. [wave()]", n_samples=4 * WORD
        )
        assert talk.session.state.exchanges == [Exchange("How deep is the well", "It is deep friend. [wave()]")]


@virtual_time
async def test_the_reply_is_ready_when_the_turn_ends_because_it_was_begun_at_the_pause() -> None:
    speech = ScriptedSpeech()
    recogniser = ScriptedRecogniser(speech, delay_ms=10)
    llm = ScriptedLanguageModel(["Yes."], prefill_ms=10, word_ms=5)
    engine = scripted_engine(
        speech, recogniser=recogniser, llm=llm, synthesiser=ScriptedSynthesiser(delay_ms=10), settings=_settings(600)
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
async def test_nothing_of_a_reply_leaves_before_the_turn_is_over() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["Yes. [wave()]"], characters=[_waving()], settings=_settings(800))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("I would like", 600), silence(500))
        assert not {"ReplyStarted", "WordsEvent", "ActionEvent", "AudioFrame"} & set(kinds(talk))
        assert not talk.session.state.ledger.open()


@virtual_time
async def test_a_player_who_goes_on_after_a_pause_is_answered_once_to_everything() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["First thought.", "Second thought."])
    engine = scripted_engine(speech, llm=llm, settings=_settings(500))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("I would like", 500), silence(350), speech.say("to buy a sword", 500), silence(800))
        await talk.until(ReplyEnded)
        assert talk.all(TranscriptEvent)[-1].text == "I would like to buy a sword"
        assert len(talk.all(ReplyStarted)) == 1
        assert talk.the(WordsEvent).text == "Second thought."
        assert llm.n_running == 0
        assert talk.session.state.exchanges == [Exchange("I would like to buy a sword", "Second thought.")]


@virtual_time
async def test_speaking_over_a_reply_stops_it_and_only_what_was_heard_is_remembered() -> None:
    speech = ScriptedSpeech()
    counting = "One two three four five six seven eight nine ten."
    llm = ScriptedLanguageModel([counting, "Sorry."])
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Count", 400), silence(600))
        await talk.until(AudioFrame)
        began_ms = talk.when(AudioFrame)
        await talk.play(silence(300), speech.say("stop it now", 600), silence(700))
        ended = talk.all(ReplyEnded)[0]
        assert ended.reason == "interrupted"
        heard_ms = talk.when(ReplyHushed) - began_ms
        assert ended.n_samples == talk.the(ReplyHushed).sample == pytest.approx(heard_ms * REPLY_RATE_HZ / 1000, abs=2)
        n_words = -(-ended.n_samples // WORD)  # a word that was begun was heard
        assert ended.text == " ".join(counting.split()[:n_words])
        assert talk.session.state.exchanges[0] == Exchange("Count", ended.text)
        await talk.until(ReplyEnded, 2)
        assert talk.all(TranscriptEvent)[-1].text == "stop it now"
        late = [at_ms for at_ms, item in talk.came if isinstance(item, AudioFrame) and item.turn == 1]
        assert max(late) <= talk.when(ReplyEnded), "nothing of it follows"


@virtual_time
async def test_a_cough_over_a_reply_does_not_interrupt_it() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["One two three four five six seven eight nine ten."])
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Count", 400), silence(600))
        await talk.until(AudioFrame)
        await talk.play(silence(200), speech.say("hm", 100), silence(2000))
        assert talk.the(ReplyEnded).reason == "done"
        assert len(talk.all(SpeechStarted)) == 1


@virtual_time
async def test_no_audio_leaves_once_a_player_has_begun_to_speak_over_it() -> None:
    speech = ScriptedSpeech()
    long = "word " * 120
    engine = scripted_engine(speech, [f"{long}end."], settings=_settings(200))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Tell me", 400), silence(600))
        await talk.until(AudioFrame)
        await talk.play(silence(300))
        began_ms = talk.last_played_ms = talk.session._clock.now_ms()
        await talk.play(speech.say("no stop", 900), silence(400))
        audio_ms = [at_ms for at_ms, item in talk.came if isinstance(item, AudioFrame) and item.turn == 1]
        assert max(audio_ms) - began_ms <= 150


@virtual_time
async def test_a_murmur_hushes_a_reply_which_then_goes_on_where_it_stood() -> None:
    speech = ScriptedSpeech()
    counting = "One two three four five six seven eight nine ten."
    engine = scripted_engine(speech, [counting])
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Count", 400), silence(600))
        await talk.until(AudioFrame)
        began_ms = talk.when(AudioFrame)
        await talk.play(silence(200), speech.say("mm-hm", 300), silence(3000))
        ended = talk.the(ReplyEnded)
        assert (ended.reason, ended.text) == ("done", counting)
        hushed_ms = talk.when(ReplyResumed) - talk.when(ReplyHushed)
        assert hushed_ms > 0
        assert talk.when(ReplyEnded) == pytest.approx(began_ms + 10 * 200 + hushed_ms, abs=5)
        assert len(talk.all(SpeechStarted)) == 1


@virtual_time
async def test_a_short_word_that_means_something_does_interrupt() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["One two three four five six seven eight nine ten.", "Very well."])
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Count", 400), silence(600))
        await talk.until(AudioFrame)
        await talk.play(silence(200), speech.say("Stop!", 300), silence(1500))
        assert [ended.reason for ended in talk.all(ReplyEnded)] == ["interrupted", "done"]
        assert talk.session.state.exchanges[-1] == Exchange("Stop!", "Very well.")


@virtual_time
async def test_a_finished_question_is_answered_sooner_than_half_a_sentence() -> None:
    waits_ms = []
    for words in ("How much is it?", "I would like to buy a"):
        speech = ScriptedSpeech()
        engine = scripted_engine(speech, settings=Settings())
        async with Conversation(engine, "mira") as talk:
            await talk.play(speech.say(words, 1000), silence(2500))
            waits_ms.append(talk.when(SpeechStopped) - talk.last_played_ms)
    assert waits_ms[0] < waits_ms[1] - 200


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
    engine = scripted_engine(speech, llm=ScriptedLanguageModel(["Yes."], prefill_ms=1500), settings=_settings(900))
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
    engine = scripted_engine(speech, llm=llm, settings=_settings(700))
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
async def test_a_player_who_goes_on_before_anything_was_heard_is_answered_to_both() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["Well then."], prefill_ms=600)
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("I would like", 500), silence(400))
        assert talk.all(SpeechStopped), "the turn was taken to be over"
        await talk.play(speech.say("to buy a sword", 500), silence(1200))
        await talk.until(ReplyEnded, 2)
        assert [(ended.reason, ended.continued) for ended in talk.all(ReplyEnded)] == [
            ("interrupted", True),
            ("done", False),
        ]
        assert talk.all(TranscriptEvent)[-1].text == "I would like to buy a sword"
        assert talk.session.state.exchanges == [Exchange("I would like to buy a sword", "Well then.")]


@virtual_time
async def test_so_is_one_who_broke_a_reply_off_and_then_paused_for_too_long() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["One two three four five six seven eight nine ten."], prefill_ms=600)
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Count"))
        await talk.until(AudioFrame)
        await talk.play(silence(300), speech.say("no I would like", 900), silence(400))
        await talk.play(speech.say("to buy a sword", 500), silence(1200))
        await talk.until(ReplyEnded, 3)
        assert [ended.continued for ended in talk.all(ReplyEnded)] == [False, True, False]
        assert talk.session.state.exchanges[-1].player == "no I would like to buy a sword"


@virtual_time
async def test_two_utterances_in_quick_succession_are_both_answered() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["One two three.", "Four."])
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Hello", 400), silence(600))
        await talk.until(AudioFrame)
        await talk.play(silence(100), speech.say("and who are you", 600), silence(1200))
        await talk.until(ReplyEnded, 2)
        assert [exchange.player for exchange in talk.session.state.exchanges] == ["Hello", "and who are you"]


@virtual_time
async def test_speech_that_began_before_a_reply_ended_is_a_turn_of_its_own() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["One two."])
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Hello", 400), silence(600))
        began_ms = (await talk.until(AudioFrame)) and talk.when(AudioFrame)
        rest_ms = int(began_ms + 400 - talk.session._clock.now_ms())  # until the reply has been heard
        await talk.play(silence(max(rest_ms - 60, 0)), speech.say("what now", 500), silence(900))
        await talk.until(ReplyEnded, 2)
        assert [exchange.player for exchange in talk.session.state.exchanges] == ["Hello", "what now"]


@virtual_time
async def test_noise_that_holds_no_words_is_not_answered() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("", 800), silence(900), speech.say("Hello", 400), silence(900))
        await talk.until(ReplyEnded)
        assert [event.text for event in talk.all(TranscriptEvent) if event.is_final] == ["", "Hello"]
        assert talk.the(ReplyStarted).turn == 2


@virtual_time
async def test_an_hour_of_silence_changes_nothing() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        quiet = silence(60_000)
        for _ in range(60):
            await talk.play(quiet, frame_ms=1000)
        assert talk.came == []
        await talk.play(speech.say("Hello", 400), silence(900))
        assert (await talk.until(ReplyEnded)).reason == "done"


@virtual_time
async def test_two_minutes_of_speech_end_in_an_answer() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("on and " * 150, 125_000), silence(900), frame_ms=100)
        await talk.until(ReplyEnded)
        assert talk.when(SpeechStopped) == pytest.approx(120_000, abs=200)


@virtual_time
async def test_a_held_key_keeps_the_turn_open_and_letting_go_ends_it_at_once() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        talk.tell(SpeechStart())
        await talk.play(speech.say("Let me", 400), silence(1500), speech.say("think", 400))
        assert not talk.all(SpeechStopped)
        talk.tell(SpeechEnd())
        await talk.until(SpeechStopped)
        assert talk.when(SpeechStopped) == talk.last_played_ms
        await talk.until(ReplyEnded)
        assert talk.all(TranscriptEvent)[-1].text == "Let me think"


@virtual_time
async def test_a_key_pressed_and_let_go_without_a_sound_is_harmless() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        talk.tell(SpeechStart())
        talk.tell(SpeechEnd())
        talk.tell(SpeechEnd())
        transcript = await talk.until(TranscriptEvent)
        assert (transcript.text, transcript.is_final) == ("", True)
        await talk.play(speech.say("Hello", 400), silence(900))
        assert (await talk.until(ReplyEnded)).reason == "done"


@virtual_time
async def test_pressing_the_talk_key_stops_a_reply() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["One two three four five six."])
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Count"))
        await talk.until(AudioFrame)
        await asyncio.sleep(0.3)
        talk.tell(SpeechStart())
        assert (await talk.until(ReplyEnded)).reason == "interrupted"


@virtual_time
async def test_typed_words_are_answered_without_a_voice_to_voice_time() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Hello"))
        await talk.until(ReplyEnded)
        assert talk.the(TurnMetrics).voice_to_voice_ms is None
        assert not talk.all(TranscriptEvent)
        assert talk.heard_samples(1) > 0


@virtual_time
async def test_a_session_that_wants_text_gets_no_audio() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira", reply="text") as talk:
        talk.tell(PlayerText(text="Hello"))
        ended = await talk.until(ReplyEnded)
        assert (ended.text, ended.n_samples) == ("Good day to you.", 0)
        assert not talk.all(AudioFrame)
        assert talk.the(TurnMetrics).spans


@virtual_time
async def test_words_typed_while_speaking_join_what_is_said() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("look at", 500))
        talk.tell(PlayerText(text="the well"))
        await talk.until(ReplyEnded)
        assert talk.session.state.exchanges[0].player == "look at the well"
        assert len(talk.all(ReplyStarted)) == 1


@virtual_time
async def test_text_that_follows_at_once_joins_the_text_before() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Wait."))
        await asyncio.sleep(0.02)
        talk.tell(PlayerText(text="Who are you?"))
        await talk.until(ReplyEnded, 2)
        assert [exchange.player for exchange in talk.session.state.exchanges] == ["Wait. Who are you?"]


@virtual_time
async def test_an_interrupt_stops_a_reply_for_good() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["One two three four five six seven eight."], word_ms=100)
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Count"))
        await asyncio.sleep(0.3)
        talk.tell(Interrupt())
        assert (await talk.until(ReplyEnded)).reason == "interrupted"
        await asyncio.sleep(0.05)
        assert llm.n_running == 0
        talk.tell(Interrupt())  # nothing to stop: no error
        await asyncio.sleep(1)
        assert len(talk.all(ReplyEnded)) == 1


@virtual_time
async def test_playback_reports_tell_what_was_heard() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["One two three four five six seven eight."])
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Count"))
        await talk.until(AudioFrame)
        await asyncio.sleep(1)
        talk.tell(Playback(turn=1, sample=WORD + 10))
        await asyncio.sleep(0.01)
        talk.tell(Interrupt())
        ended = await talk.until(ReplyEnded)
        assert (ended.text, ended.n_samples) == ("One two", WORD + 10)


@virtual_time
async def test_a_reply_is_over_when_the_client_has_played_it() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["One two."])
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Count"))
        await talk.until(TurnMetrics)
        talk.tell(Playback(turn=1, sample=10))
        await asyncio.sleep(1)
        assert not talk.all(ReplyEnded), "the client lags behind, and is waited for"
        talk.tell(Playback(turn=1, sample=2 * WORD))
        assert (await talk.until(ReplyEnded)).reason == "done"


@virtual_time
async def test_a_client_that_stops_reporting_is_not_waited_for_for_ever() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["One two."])
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Count"))
        await talk.until(TurnMetrics)
        talk.tell(Playback(turn=1, sample=10))
        assert (await talk.until(ReplyEnded)).reason == "done"


@virtual_time
async def test_a_stage_that_fails_ends_the_turn_and_not_the_session() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel([StageError("llm", "out of luck"), "Better now."])
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Hello", 400), silence(900))
        ended = await talk.until(ReplyEnded)
        assert ended.reason == "failed"
        error = talk.the(ErrorEvent)
        assert (error.code, error.turn) == ("stage-failed", 1)
        assert "out of luck" in error.message
        talk.tell(PlayerText(text="Again"))
        assert (await talk.until(ReplyEnded, 2)).text == "Better now."


@virtual_time
async def test_a_bug_in_a_stage_tells_the_client_little_and_ends_the_turn() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel([KeyError("a secret"), "Better now."])
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Hello"))
        assert (await talk.until(ReplyEnded)).reason == "failed"
        assert talk.the(ErrorEvent).code == "internal"
        assert "secret" not in talk.the(ErrorEvent).message
        talk.tell(PlayerText(text="Again"))
        assert (await talk.until(ReplyEnded, 2)).reason == "done"


@virtual_time
async def test_recognition_that_fails_is_told() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, recogniser=ScriptedRecogniser(speech, fails=True))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Hello", 400), silence(900))
        assert (await talk.until(ErrorEvent)).code == "stage-failed"
        assert (await talk.until(ReplyEnded)).reason == "failed"


@virtual_time
async def test_a_failure_of_a_reply_that_was_thrown_away_is_nobodys_business() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel([StageError("llm", "too early"), "Fine."], prefill_ms=10)
    engine = scripted_engine(speech, llm=llm, settings=_settings(600))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("I would like", 500), silence(400), speech.say("a sword", 500), silence(900))
        await talk.until(ReplyEnded)
        assert not talk.all(ErrorEvent)
        assert talk.the(ReplyEnded).text == "Fine."


@virtual_time
async def test_what_the_game_says_of_an_action_reaches_the_next_prompt() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["At once. [walk_to(place=well)]", "I could not."])
    mira = scripted_character(actions=actions("walk_to"), scene=SCENE)
    engine = scripted_engine(speech, llm=llm, characters=[mira])
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Go to the well"))
        action = await talk.until(ActionEvent)
        assert (action.name, action.args) == ("walk_to", {"place": "well"})
        await talk.until(ReplyEnded)
        talk.tell(ActionResult(action=action.id, outcome="failed", reason="the path is flooded"))
        with pytest.raises(InputError, match="has the result 'failed'"):
            talk.tell(ActionResult(action=action.id, outcome="done"))
        talk.tell(PlayerText(text="And?"))
        await talk.until(ReplyEnded, 2)
        assert "the path is flooded" in llm.prompts[1][-1].content


@virtual_time
async def test_a_result_for_an_action_that_never_was_is_refused() -> None:
    engine = scripted_engine(ScriptedSpeech())
    async with Conversation(engine, "mira") as talk:
        with pytest.raises(InputError, match=r"no action '9\.9'"):
            talk.tell(ActionResult(action="9.9", outcome="done"))


@virtual_time
async def test_a_scene_that_changes_is_what_the_next_reply_sees() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["Yes."])
    mira = scripted_character(actions=actions("walk_to"), scene=SCENE)
    engine = scripted_engine(speech, llm=llm, characters=[mira])
    async with Conversation(engine, "mira") as talk:
        talk.tell(SceneUpdate(scene=Scene(places=(Entity(id="tower"),))))
        talk.tell(PlayerText(text="Where are we?"))
        await talk.until(ReplyEnded)
        grammar = llm.grammars[0]
        assert "tower" in llm.prompts[0][0].content
        assert grammar is not None
        assert "tower" in grammar.lark
        assert "well" not in grammar.lark


@virtual_time
async def test_a_model_that_does_not_act_by_itself_is_made_to_do_what_is_plainly_asked_for() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["Aye. [walk_to(place=inn)]"])
    mira = scripted_character(actions=actions("walk_to", "wave"), scene=SCENE)
    memory = ScriptedMemory(nomination=Nomination(("walk_to",), {"place": ("inn",)}, 0.9, 0.5))
    settings = Settings.model_validate({"llm": {"nominates": True}, "turn_taking": {"judges_pauses": False}})
    engine = scripted_engine(speech, llm=llm, characters=[mira], memory=memory, settings=settings)
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Go to the inn"))
        await talk.until(ReplyEnded)
        grammar = llm.grammars[0]
        assert grammar is not None
        assert "inn" in grammar.lark
        assert "well" not in grammar.lark
        assert "wave" not in grammar.lark


@virtual_time
async def test_a_call_that_is_not_legal_is_neither_done_nor_spoken() -> None:
    speech = ScriptedSpeech()
    mira = scripted_character(actions=actions("walk_to"), scene=SCENE)
    engine = scripted_engine(speech, ["Off I go. [walk_to(place=moon)] There."], characters=[mira])
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Go to the moon"))
        ended = await talk.until(ReplyEnded)
        assert not talk.all(ActionEvent)
        assert "[" not in ended.text


@virtual_time
async def test_a_reply_that_has_got_long_ends_with_its_sentence() -> None:
    speech = ScriptedSpeech()
    sentence = "And so it went on and on for years."
    llm = ScriptedLanguageModel([" ".join([sentence] * 20)])
    engine = scripted_engine(speech, llm=llm)
    async with Conversation(engine, "mira", reply="text") as talk:
        talk.tell(PlayerText(text="Tell me everything"))
        ended = await talk.until(ReplyEnded)
        assert ended.text == " ".join([sentence] * 3)
        assert llm.n_running == 0


@virtual_time
async def test_a_client_that_does_not_read_stops_its_own_reply_and_no_more() -> None:
    speech = ScriptedSpeech()
    synthesiser = ScriptedSynthesiser(word_ms=1000)
    engine = scripted_engine(speech, ["One two three four five six seven eight."] * 2, synthesiser=synthesiser)
    async with Conversation(engine, "mira", reads=False) as stuck, Conversation(engine, "mira") as talk:
        stuck.tell(PlayerText(text="Count"))
        talk.tell(PlayerText(text="Count"))
        assert (await talk.until(ReplyEnded)).reason == "done"
        n_audio = sum(isinstance(item, AudioFrame) for item in stuck.session._outbox._items)
        assert 0 < n_audio <= MAX_QUEUED_FRAMES


@virtual_time
async def test_history_and_the_question_before_reach_the_next_turn() -> None:
    speech = ScriptedSpeech()
    llm, memory = ScriptedLanguageModel(["Deep."]), ScriptedMemory()
    engine = scripted_engine(speech, llm=llm, memory=memory)
    async with Conversation(engine, "mira", reply="text") as talk:
        for n, text in enumerate(("What is the well like?", "And how old is it?"), 1):
            talk.tell(PlayerText(text=text))
            await talk.until(ReplyEnded, n)
        assert memory.queries[1] == ("And how old is it?", "What is the well like?")
        said = [message.content for message in llm.prompts[1]]
        assert said[-3:] == ["What is the well like?", "Deep.", "And how old is it?"]


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


@virtual_time
async def test_sessions_do_not_mix() -> None:
    speech = ScriptedSpeech()
    names = [f"c{n}" for n in range(8)]
    engine = scripted_engine(speech, characters=[scripted_character(name) for name in names])
    talks = [Conversation(engine, name) for name in names]

    async def converse(n: int, talk: Conversation) -> None:
        async with talk:
            await asyncio.sleep(0.037 * n)
            await talk.play(speech.say(f"I am number {n}", 500), silence(900))
            await talk.until(ReplyEnded)

    await asyncio.gather(*(converse(n, talk) for n, talk in enumerate(talks)))
    for n, talk in enumerate(talks):
        assert talk.session.ready.character == f"c{n}"
        assert [exchange.player for exchange in talk.session.state.exchanges] == [f"I am number {n}"]


@virtual_time
async def test_half_a_sample_is_refused_and_the_session_goes_on() -> None:
    engine = scripted_engine(ScriptedSpeech())
    async with Conversation(engine, "mira") as talk:
        with pytest.raises(InputError, match="multiple of 2"):
            talk.session.hear(b"abc")
        with pytest.raises(InputError, match="has started"):
            talk.tell(SessionStart(character="mira"))
        talk.tell(PlayerText(text="Hello"))
        assert (await talk.until(ReplyEnded)).reason == "done"


@virtual_time
async def test_closing_ends_a_session_in_the_middle_of_a_reply() -> None:
    llm = ScriptedLanguageModel(["One two three four five six."], word_ms=500)
    engine = scripted_engine(ScriptedSpeech(), llm=llm)
    async with Conversation(engine, "mira") as talk:
        talk.tell(PlayerText(text="Count"))
        await asyncio.sleep(1)
        assert llm.n_running == 1
    assert llm.n_running == 0
    with pytest.raises(SessionClosed):
        await talk.session.next()


@virtual_time
async def test_an_unknown_character_is_refused_with_a_hint() -> None:
    engine = scripted_engine(ScriptedSpeech(), characters=[scripted_character("smith")])
    with pytest.raises(InputError, match="did you mean 'smith'") as caught:
        engine.open(SessionStart(character="smit"))
    assert caught.value.code == "unknown-character"


@virtual_time
async def test_audio_in_large_chunks_is_heard_as_well() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech)
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Hello there", 700), silence(1300), frame_ms=1000)
        await talk.until(ReplyEnded)
        assert talk.all(TranscriptEvent)[-1].text == "Hello there"


def test_virtual_time_shows_what_would_hang() -> None:
    with pytest.raises(RuntimeError, match="hang for ever"):
        _wait_for_nothing()


@virtual_time
async def _wait_for_nothing() -> Any:
    await asyncio.Event().wait()


def _waving() -> Any:
    return scripted_character(actions=actions("wave"), scene=SCENE)


def _settings(endpoint_ms: int) -> Settings:
    return Settings.model_validate({"turn_taking": {"endpoint_ms": endpoint_ms, "judges_pauses": False}})


def test_speech_of_the_script_is_understood_in_part() -> None:
    speech = ScriptedSpeech()
    audio = np.concatenate([speech.say("one two three four", 400), silence(100), speech.say("five", 100)])
    assert speech.recognise(audio) == "one two three four five"
    assert speech.recognise(audio[: 16 * 200]) == "one two"
