"""Who has the floor, on virtual time with scripted stages: pauses, interruptions, murmurs, the talk key, text."""

import asyncio

import pytest

from npc.config import Settings
from npc.events import (
    Interrupt,
    PlayerText,
    ReplyEnded,
    ReplyHushed,
    ReplyResumed,
    ReplyStarted,
    SpeechEnd,
    SpeechStart,
    SpeechStarted,
    SpeechStopped,
    TranscriptEvent,
    WordsEvent,
)
from npc.frames import AudioFrame
from npc.state import Exchange
from npc.testing import (
    REPLY_RATE_HZ,
    Conversation,
    ScriptedLanguageModel,
    ScriptedSpeech,
    scripted_engine,
    silence,
    virtual_time,
    with_endpoint,
)
from npc.world import Entity, Scene

WORD = REPLY_RATE_HZ // 5  # 200 ms of reply
SCENE = Scene(places=(Entity(id="well"), Entity(id="inn")))


@virtual_time
async def test_a_player_who_goes_on_after_a_pause_is_answered_once_to_everything() -> None:
    speech = ScriptedSpeech()
    llm = ScriptedLanguageModel(["First thought.", "Second thought."])
    engine = scripted_engine(speech, llm=llm, settings=with_endpoint(500))
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
    engine = scripted_engine(speech, [f"{long}end."], settings=with_endpoint(200))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Tell me", 400), silence(600))
        await talk.until(AudioFrame)
        await talk.play(silence(300))
        began_ms = talk.last_played_ms = talk.session._clock.now_ms()
        await talk.play(speech.say("no stop", 900), silence(400))
        audio_ms = [at_ms for at_ms, item in talk.came if isinstance(item, AudioFrame) and item.turn == 1]
        assert max(audio_ms) - began_ms <= 150


@virtual_time
async def test_a_reply_falls_silent_at_the_first_sound_of_a_voice_before_it_is_sure_that_there_is_one() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["One two three four five six seven eight nine ten.", "Very well."])
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Count", 400), silence(600))
        await talk.until(AudioFrame)
        await talk.play(silence(300))
        began_ms = talk.session._clock.now_ms()
        await talk.play(speech.say("no stop", 900), silence(1500))
        assert talk.when(ReplyHushed) - began_ms <= 32 + 2 * 20  # a frame, and chunks that lie across it
        assert len(talk.all(ReplyHushed)) == 1
        assert talk.all(ReplyResumed) == []
        assert talk.all(ReplyEnded)[0].reason == "interrupted"


@virtual_time
async def test_a_click_hushes_a_reply_for_a_moment_and_takes_nothing_from_it() -> None:
    speech = ScriptedSpeech()
    counting = "One two three four five six seven eight nine ten."
    engine = scripted_engine(speech, [counting])
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("Count", 400), silence(600))
        await talk.until(AudioFrame)
        began_ms = talk.when(AudioFrame)
        await talk.play(silence(200), speech.say("", 20), silence(3000))
        hushed_ms = talk.when(ReplyResumed) - talk.when(ReplyHushed)
        assert 0 < hushed_ms <= 160
        assert (talk.the(ReplyEnded).reason, talk.the(ReplyEnded).text) == ("done", counting)
        assert talk.when(ReplyEnded) == pytest.approx(began_ms + 10 * 200 + hushed_ms, abs=5)
        assert len(talk.all(SpeechStarted)) == 1


@virtual_time
async def test_a_character_that_is_set_to_speak_on_longer_does_so() -> None:
    speech = ScriptedSpeech()
    counting = "One two three four five six seven eight nine ten."
    bold = with_endpoint(200).turn_taking.model_copy(update={"barge_in_ms": 300})
    settings = Settings(turn_taking=bold)
    async with Conversation(scripted_engine(speech, [counting], settings=settings), "mira") as talk:
        await talk.play(speech.say("Count", 400), silence(600))
        await talk.until(AudioFrame)
        await talk.play(silence(200), speech.say("hm", 200), silence(3000))
        assert talk.all(ReplyHushed) == []
        assert talk.the(ReplyEnded).reason == "done"


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
