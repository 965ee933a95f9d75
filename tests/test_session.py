"""Conversations on virtual time, with scripted stages: what leaves when, what is remembered, what fails, what ends."""

import asyncio
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
    SceneUpdate,
    SessionStart,
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
    with_endpoint,
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
async def test_nothing_of_a_reply_leaves_before_the_turn_is_over() -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, ["Yes. [wave()]"], characters=[_waving()], settings=with_endpoint(800))
    async with Conversation(engine, "mira") as talk:
        await talk.play(speech.say("I would like", 600), silence(500))
        assert not {"ReplyStarted", "WordsEvent", "ActionEvent", "AudioFrame"} & set(kinds(talk))
        assert not talk.session.state.ledger.open()


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


def test_speech_of_the_script_is_understood_in_part() -> None:
    speech = ScriptedSpeech()
    audio = np.concatenate([speech.say("one two three four", 400), silence(100), speech.say("five", 100)])
    assert speech.recognise(audio) == "one two three four five"
    assert speech.recognise(audio[: 16 * 200]) == "one two"
