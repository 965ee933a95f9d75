"""Whatever players, games and networks do: each action is committed at most once, and never after its cancel."""

import asyncio
from dataclasses import replace
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npc.actions import load_library
from npc.errors import InputError
from npc.events import (
    ActionCancelled,
    ActionCommitted,
    ActionEvent,
    ActionProgress,
    ActionResult,
    ActionStop,
    ErrorEvent,
    Interrupt,
    Playback,
    PlayerText,
    ReplyEnded,
    ReplyStarted,
    SceneDeltaEvent,
)
from npc.frames import AudioFrame
from npc.testing import (
    Conversation,
    ScriptedSpeech,
    scripted_character,
    scripted_engine,
    silence,
    virtual_time,
)
from npc.world import Entity, Scene, SceneDelta

LIBRARY = load_library()
ACTIONS = (
    LIBRARY["wave"],
    LIBRARY["stop"],
    replace(LIBRARY["walk_to"], is_parallel=False, timeout_s=3.0),
    replace(LIBRARY["pick_up"], is_parallel=False),
    replace(LIBRARY["open"], is_awaited=True, timeout_s=2.0),
)
SCENE = Scene(places=(Entity(id="well"), Entity(id="inn")), objects=(Entity(id="gate"), Entity(id="sword")))
REPLIES = (
    "Aye.",
    "[wave()] Good day to you. [walk_to(place=well)] Mind the step. [pick_up(item=sword)]",
    "One moment. [open(thing=gate)] There it is. [wave()]",
    "[wave()] [open(thing=gate)] There it is.",
    "I'll open the gate. Wait here a while with me.",
    "No, I won't open the gate. [open(thing=gate)]",
    "[walk_to(place=inn)] One two three four five six. [stop()]",
)
LATE = frozenset({"action-over", "unknown-action"})

Step = tuple[str, int]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.integers(0, 2)),
        st.tuples(st.just("speak"), st.integers(1, 9)),
        st.tuples(st.just("quiet"), st.integers(1, 12)),
        st.tuples(st.just("wait"), st.integers(1, 30)),
        st.tuples(st.just("interrupt"), st.just(0)),
        st.tuples(st.just("done"), st.integers(0, 3)),
        st.tuples(st.just("failed"), st.integers(0, 3)),
        st.tuples(st.just("refused"), st.integers(0, 3)),
        st.tuples(st.just("progress"), st.integers(0, 3)),
        st.tuples(st.just("playback"), st.integers(0, 4)),
        st.tuples(st.just("delta"), st.integers(0, 5)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.lists(st.sampled_from(REPLIES), min_size=1, max_size=4), st.sampled_from(["speech", "text"]))
def test_an_action_is_committed_at_most_once_and_never_after_its_cancel(
    script: list[Step], replies: list[str], reply: Literal["speech", "text"]
) -> None:
    play([("text", 0), *script], replies, reply)


@virtual_time
async def play(script: list[Step], replies: list[str], reply: Literal["speech", "text"]) -> None:
    speech = ScriptedSpeech()
    engine = scripted_engine(speech, replies, characters=[scripted_character(actions=ACTIONS, scene=SCENE)])
    async with Conversation(engine, "mira", reply=reply) as talk:
        for kind, n in script:
            if kind == "leave" and n < 3:
                break
            await do(talk, speech, kind, n)
        if all(kind != "leave" for kind, _ in script):
            await asyncio.sleep(40)
            assert not [e for e in talk.all(ErrorEvent) if e.code == "internal"]
            assert len(talk.all(ReplyStarted)) <= len(talk.all(ReplyEnded))
    check(talk)


async def do(talk: Conversation, speech: ScriptedSpeech, kind: str, n: int) -> None:
    try:
        match kind:
            case "text":
                talk.tell(PlayerText(text=("Open the gate", "Go to the well", "Hello")[n]))
                await asyncio.sleep(0)
            case "speak":
                await talk.play(speech.say("what is that over there", n * 100))
            case "quiet":
                await talk.play(silence(n * 100))
            case "wait":
                await asyncio.sleep(n / 10)
            case "interrupt":
                talk.tell(Interrupt())
            case "progress":
                talk.tell(ActionProgress(action=some_action(talk, n), progress=n / 4))
            case "done" | "failed" | "refused":
                talk.tell(ActionResult(action=some_action(talk, n), outcome=kind))  # type: ignore[arg-type]
            case "playback":
                turns = [event.turn for event in talk.all(AudioFrame)] or [1]
                talk.tell(Playback(turn=turns[-1], sample=n * 9600))
            case "delta":
                talk.tell(
                    SceneDeltaEvent(delta=SceneDelta(objects=(Entity(id=f"thing_{n}"),), remove=("gate",) * (n == 5)))
                )
    except InputError as error:
        if error.code not in LATE | {"bad-scene"}:
            raise


def some_action(talk: Conversation, n: int) -> str:
    known = [event.id for event in talk.all(ActionEvent)]
    return known[-1 - n] if n < len(known) else "9.9"


def check(talk: Conversation) -> None:
    """What came in which order."""
    fate: dict[str, list[str]] = {}
    refused = {action.id for action in talk.session.state.ledger if action.phase == "refused"}
    for _, event in talk.came:
        match event:
            case ActionEvent(id=action):
                assert action not in fate, "ids are used once"
                fate[action] = ["proposed"]
            case ActionCommitted(id=action):
                assert fate[action] == ["proposed"], fate[action]
                fate[action].append("committed")
            case ActionStop(id=action):
                assert fate[action] == ["proposed", "committed"], fate[action]
                fate[action].append("stop")
            case ActionCancelled(id=action):
                assert "cancelled" not in fate[action], fate[action]
                assert "committed" not in fate[action] or "stop" in fate[action], fate[action]
                fate[action].append("cancelled")
            case ReplyEnded(turn=turn, reason="interrupted" | "failed"):
                left = [action for action, steps in fate.items() if steps == ["proposed"] and action not in refused]
                assert not [action for action in left if action.startswith(f"{turn}.")], "told of each that will not be"
            case _:
                pass
    open_now = {action.id for action in talk.session.state.ledger if action.phase == "proposed"}
    assert not open_now, "what was not begun when the session ended will not be"
