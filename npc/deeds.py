"""What a character does: the ledger of its actions, at work in a session.

    reply ── propose ─→ ledger ── steps ─→ outbox: committed, cancelled, stop
    playback ─ advance ─↗   ↑                  └─→ what the character learns and feels of it
    game ── result, progress ┘

The ledger decides; this tells the client, the model and whoever waits.
"""

import asyncio
import logging
from collections.abc import Sequence

from npc.actions import ActionRecord, ActionSpec, Closed, Committed, Step, Stopped
from npc.actions.transaction import Answer
from npc.clock import Clock
from npc.errors import InputError
from npc.events import ActionCancelled, ActionCommitted, ActionEvent, ActionStop, FeelingEvent
from npc.feeling import Feeling, Temper
from npc.outbox import Outbox
from npc.state import Outcome, SessionState
from npc.turn import ActionCall

log = logging.getLogger(__name__)

STOP = "stop"
"""An action of this name also breaks off what is under way."""


class Deeds:
    def __init__(self, temper: Temper, state: SessionState, outbox: Outbox, clock: Clock) -> None:
        self._temper = temper
        self._state = state
        self._ledger = state.ledger
        self._outbox = outbox
        self._clock = clock
        self._changed = asyncio.Event()
        self._awaited: dict[str, asyncio.Future[ActionRecord]] = {}

    def propose(self, event: ActionEvent, rendered: str, spec: ActionSpec) -> None:
        """Tell the game of an action of a reply that was committed. Where too many are open it is left out."""
        call = ActionCall(event.id, event.name, event.args)
        try:
            self._ledger.propose(
                call,
                rendered,
                event.turn,
                event.sample,
                is_awaited=spec.is_awaited,
                is_parallel=spec.is_parallel,
                timeout_ms=spec.timeout_s * 1000,
            )
        except InputError as error:
            log.warning("turn %d: an action was left out: %s", event.turn, error)
            return
        self._outbox.put(event)
        self._changed.set()

    def advance(self, turn: int, sample: int) -> None:
        """Playback of `turn` stands at `sample`."""
        self._take(self._ledger.advance(turn, sample, self._clock.now_ms()))

    def cancel(self, turn: int, reason: str) -> None:
        """What `turn` has not begun will not be."""
        self._take(self._ledger.cancel(turn, reason, self._clock.now_ms()))

    def cancel_all(self, reason: str) -> None:
        for turn in {action.turn for action in self._ledger.open()}:
            self.cancel(turn, reason)

    def call_off(self, action_id: str, reason: str) -> None:
        """One action is not to be, or to be broken off."""
        if self.is_known(action_id):
            self._take(self._ledger.stop(action_id, reason, self._clock.now_ms()))

    def report(self, action_id: str, progress: float) -> None:
        """Raises InputError: `unknown-action`, `action-over`."""
        self._take(self._ledger.report(action_id, progress, self._clock.now_ms()))

    def close(self, action_id: str, outcome: Answer, reason: str) -> None:
        """The game's result. Raises InputError: `unknown-action`, `action-over`."""
        self._take(self._ledger.close(action_id, outcome, reason, self._clock.now_ms()))

    def recall(self) -> None:
        """Tell a client that came back of what was begun and is not over, under the same ids."""
        for action in self._ledger.unanswered():
            self._outbox.put(
                ActionEvent(
                    turn=action.turn,
                    sample=action.sample,
                    id=action.id,
                    name=action.name,
                    args=dict(action.args),
                    awaited=action.is_awaited,
                )
            )
            self._outbox.put(ActionCommitted(turn=action.turn, id=action.id))

    def next_sample(self, turn: int) -> int | None:
        """Where the next action of `turn` lies that playback has not reached."""
        samples = [a.sample for a in self._ledger.open(turn) if a.phase == "proposed" and not a.is_reached]
        return min(samples, default=None)

    def is_known(self, action_id: str) -> bool:
        return any(action.id == action_id for action in self._ledger)

    def is_kept(self, action_id: str) -> bool:
        """It was begun, or may be yet."""
        return any(action.id == action_id and action.phase != "cancelled" for action in self._ledger)

    def has_begun(self, turn: int) -> bool:
        """An action of `turn` is the game's already."""
        return any(action.turn == turn and action.phase not in ("proposed", "cancelled") for action in self._ledger)

    async def changed(self) -> None:
        """Return when something was proposed or has moved since."""
        self._changed.clear()
        await self._changed.wait()

    async def end_of(self, action_id: str) -> ActionRecord | None:
        """Wait for what becomes of an action; None where it was left out."""
        if not self.is_known(action_id):
            return None
        if not self._ledger[action_id].is_open:
            return self._ledger[action_id]
        future: asyncio.Future[ActionRecord] = asyncio.get_running_loop().create_future()
        self._awaited[action_id] = future
        try:
            return await future
        finally:
            del self._awaited[action_id]

    async def watch(self) -> None:
        """Give up on games that do not answer, until cancelled."""
        while True:
            deadline_ms = self._ledger.next_deadline_ms()
            try:
                async with asyncio.timeout(
                    None if deadline_ms is None else max(0.0, deadline_ms - self._clock.now_ms()) / 1000
                ):
                    await self.changed()
            except TimeoutError:
                self._take(self._ledger.expire(self._clock.now_ms() + 0.001))

    def _take(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Committed(action):
                    self._outbox.put(ActionCommitted(turn=action.turn, id=action.id))
                    if action.name == STOP:
                        self._stop_others(action)
                case Stopped(action):
                    self._outbox.put(ActionStop(turn=action.turn, id=action.id, reason=action.reason))
                case Closed(action):
                    self._close(action)
        if steps:
            self._changed.set()

    def _stop_others(self, stopping: ActionRecord) -> None:
        for action in self._ledger.unanswered():
            if action.id != stopping.id:
                self.call_off(action.id, "the character stops")

    def _close(self, action: ActionRecord) -> None:
        waiting = self._awaited.get(action.id)
        if action.phase == "cancelled":
            self._outbox.put(ActionCancelled(turn=action.turn, id=action.id, reason=action.reason))
        else:
            self._learn(action, is_told=waiting is not None)
        if waiting is not None and not waiting.done():
            waiting.set_result(action)

    def _learn(self, action: ActionRecord, *, is_told: bool) -> None:
        match action.phase:
            case "done" | "failed" | "refused" as outcome:
                pass
            case "timed-out" if action.is_awaited:
                outcome = "failed"
            case _:  # many games answer nothing: that says nothing
                return
        if not is_told:
            self._state.learn(Outcome(action.rendered, outcome, action.reason))
        before = self._state.heart.feeling
        self._state.heart = self._state.heart.learns(self._temper, action.name, outcome, self._clock.now_ms() / 1000)
        event = feeling_event(action.turn, before, self._state.heart.feeling)
        if event is not None:
            self._outbox.put(event)


def feeling_event(turn: int, before: Feeling, after: Feeling) -> FeelingEvent | None:
    """None where nothing has changed by a point."""
    now = FeelingEvent(turn=turn, mood=round(after.mood), arousal=round(after.arousal), regard=round(after.regard))
    then = FeelingEvent(turn=turn, mood=round(before.mood), arousal=round(before.arousal), regard=round(before.regard))
    return None if now == then else now
