"""Deeds, faces, a moving scene and a lost connection over a real websocket, with a session of scripted stages."""

from dataclasses import replace

import pytest

from npc.actions import load_library
from npc.client import ServerRefused, connect
from npc.config import Server
from npc.events import ActionCommitted, ActionEvent, ReplyEnded, WordsEvent
from npc.server import NpcServer
from npc.testing import ScriptedLanguageModel, ScriptedSpeech, scripted_character, scripted_engine
from npc.world import Entity, Scene, SceneDelta


@pytest.fixture
async def llm():
    replies = ["Come. [open(thing=gate)] There it is.", "Ah, it is locked.", "Yes."]
    return ScriptedLanguageModel(replies, prefill_ms=5, word_ms=1)


@pytest.fixture
async def url(llm):
    opens = replace(load_library()["open"], is_awaited=True, timeout_s=2.0)
    mira = scripted_character(actions=(opens,), scene=Scene(objects=(Entity(id="gate"),)))
    async with NpcServer(scripted_engine(ScriptedSpeech(), llm=llm, characters=[mira]), Server(port=0)) as server:
        yield server.url


async def test_an_awaited_action_is_answered_and_spoken_of_and_every_clause_has_a_face(url, llm):
    async with connect(url, character="mira", face="visemes", report_playback=True) as npc:
        await npc.change_scene(SceneDelta(player={"distance": 1.0}))
        await npc.say("The gate, please")
        actions = []
        async for event in npc:
            match event:
                case ActionCommitted(id=action):
                    await npc.progress(action, 0.5)
                    await npc.result(action, "failed", "it is locked")
                case ActionEvent():
                    actions.append(event)
                case ReplyEnded(text=text):
                    break
    assert [(action.name, action.awaited) for action in actions] == [("open", True)]
    assert text == "Come. [open(thing=gate)] Ah, it is locked."
    assert "beside you" in llm.prompts[0][-1].content
    assert "it is locked" in llm.prompts[1][-1].content


async def test_a_reply_that_is_broken_off_at_its_first_word_has_begun_nothing(url):
    async with connect(url, character="mira", face="both") as npc:
        await npc.say("The gate, please")
        async for event in npc:
            if isinstance(event, WordsEvent):
                await npc.interrupt()
                break
        reply = await npc.reply()
    assert reply.ending == "interrupted"
    assert reply.committed == []


async def test_a_session_is_taken_up_again_with_what_is_under_way(url, llm):
    async with connect(url, character="mira") as npc:
        session = npc.ready.session
        await npc.say("The gate, please")
        async for event in npc:
            if isinstance(event, ActionCommitted):
                break
    async with connect(url, character="mira", resume=session) as npc:
        assert npc.ready.resumed
        assert npc.ready.session == session
        async for event in npc:
            if isinstance(event, ActionCommitted):
                break
        await npc.result(event.id, "done")
        await npc.say("And?")
        async for event in npc:
            if isinstance(event, ReplyEnded):
                break
    assert "Come. [open(thing=gate)]" in llm.prompts[-1][-2].content


async def test_a_scene_that_cannot_be_is_refused_and_the_session_goes_on(url):
    async with connect(url, character="mira") as npc:
        await npc.change_scene(SceneDelta(remove=("nothing",)))
        await npc.say("Hello")
        with pytest.raises(ServerRefused, match="nothing"):
            await npc.reply()
        assert (await npc.reply(wait_until="received")).turn == 1
