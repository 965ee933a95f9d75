"""What became of each action: proposed with the reply, committed when playback reaches it, closed by the game.

    proposed ── reached, nothing before it in the way ──→ committed ──→ done | failed | refused | timed-out
        └── barge-in, a failed turn ──→ cancelled             └── asked to stop ──→ the same, or cancelled

Pure bookkeeping with one owner, the session's state; nothing here waits or
sends. Each method gives the steps that it caused, in order, and each step
happens once: an action is committed at most once, and never after its cancel,
also where the ledger was written to JSON and read again between.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from npc.errors import InputError
from npc.turn import ActionCall

Phase = Literal["proposed", "committed", "done", "failed", "refused", "timed-out", "cancelled"]
Answer = Literal["done", "failed", "refused"]
"""What a game says of an action."""

TIMEOUT_MS = 30_000.0
MAX_ENDED = 256
"""Ended actions that are remembered, so that a repeated result is known for one."""
MAX_OPEN = 64


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One action. Times are on the session's latency clock, in milliseconds."""

    id: str
    turn: int
    name: str
    args: Mapping[str, str | int | float]
    rendered: str
    """The call as the model wrote it."""
    sample: int
    is_awaited: bool = False
    """The reply waits for its result before it goes on."""
    is_parallel: bool = True
    """Begins at its sample whatever else is under way; one in sequence (False) waits for those in sequence before it
    in the same turn."""
    timeout_ms: float = TIMEOUT_MS
    phase: Phase = "proposed"
    is_reached: bool = False
    """Playback got to it; what waits for actions before it is reached and not committed."""
    is_stopping: bool = False
    """Committed, and the game was asked to break it off."""
    progress: float = 0.0
    """0 to 1, as the game reports it."""
    reason: str = ""
    deadline_ms: float | None = None

    @property
    def is_open(self) -> bool:
        return self.phase in ("proposed", "committed")

    @property
    def call(self) -> ActionCall:
        return ActionCall(self.id, self.name, self.args)


@dataclass(frozen=True, slots=True)
class Committed:
    """The game may begin it now."""

    action: ActionRecord


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was begun and is to be broken off; the game still answers what became of it."""

    action: ActionRecord


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over; `action.phase` is how."""

    action: ActionRecord


Step = Committed | Stopped | Closed

_records: TypeAdapter[list[ActionRecord]] = TypeAdapter(list[ActionRecord])


@dataclass(slots=True)
class ActionLedger:
    """All actions of one session, in the order in which they were proposed."""

    _actions: dict[str, ActionRecord] = field(default_factory=dict)

    def __getitem__(self, action_id: str) -> ActionRecord:
        """Raises InputError (`unknown-action`)."""
        try:
            return self._actions[action_id]
        except KeyError:
            known = ", ".join(action.id for action in self.open()) or "none"
            message = f"there is no action '{action_id[:64]}' in this session; open are: {known}"
            raise InputError(message, "unknown-action") from None

    def __iter__(self) -> Iterator[ActionRecord]:
        return iter(self._actions.values())

    def open(self, turn: int | None = None) -> list[ActionRecord]:
        """Those that are not over: of one turn, or of all."""
        return [action for action in self if action.is_open and turn in (None, action.turn)]

    def awaited(self, turn: int) -> list[ActionRecord]:
        """Those whose results the reply of `turn` waits for."""
        return [action for action in self.open(turn) if action.is_awaited]

    def unanswered(self) -> list[ActionRecord]:
        """Begun and not over: what a client that comes back must be told of again, under the same ids."""
        return [action for action in self if action.phase == "committed"]

    def propose(
        self,
        call: ActionCall,
        rendered: str,
        turn: int,
        sample: int,
        *,
        is_awaited: bool = False,
        is_parallel: bool = True,
        timeout_ms: float = TIMEOUT_MS,
    ) -> ActionRecord:
        """Enter an action that lies at `sample` of the reply of `turn`.

        Raises InputError where the id is taken (`unknown-action` is for ids that are not), or where too many are open.
        """
        if call.id in self._actions:
            raise InputError(f"action '{call.id}' was proposed before; ids are used once")
        if len(self.open()) >= MAX_OPEN:
            raise InputError(f"{MAX_OPEN} actions are open; the game has to answer some first")
        args = dict(call.args)
        record = ActionRecord(
            call.id, turn, call.name, args, rendered, sample, is_awaited, is_parallel, timeout_ms=timeout_ms
        )
        self._actions[call.id] = record
        return record

    def advance(self, turn: int, sample: int, now_ms: float) -> list[Step]:
        """Playback of `turn` stands at `sample`: commit what it has reached and nothing holds back."""
        for action in self.open(turn):
            if action.sample <= sample and not action.is_reached:
                self._put(action, is_reached=True)
        return self._release(now_ms)

    def report(self, action_id: str, progress: float, now_ms: float) -> list[Step]:
        """The game is at it: `progress` from 0 to 1 never goes back, and the time-out begins anew.

        Raises InputError: `unknown-action`, or `action-over` where it has ended.
        """
        action = self[action_id]
        if not action.is_open:
            raise _over(action, "progress")
        steps = self._begin(action, now_ms)
        action = self[action_id]
        progress = max(action.progress, min(max(progress, 0.0), 1.0))
        self._put(action, progress=progress, deadline_ms=now_ms + action.timeout_ms)
        return steps

    def close(self, action_id: str, outcome: Answer, reason: str, now_ms: float) -> list[Step]:
        """The game's result. The same result again changes nothing.

        A result for what playback has not reached, as far as is known, is the
        game's word that it has: `refused` ends it unbegun, the others commit it first.
        Raises InputError: `unknown-action`, or `action-over` where it ended otherwise.
        """
        action = self[action_id]
        if not action.is_open:
            if action.phase == outcome:
                return []
            raise _over(action, f"'{outcome}'")
        steps = self._begin(action, now_ms) if outcome != "refused" else []
        steps.append(Closed(self._put(self[action_id], phase=outcome, reason=reason)))
        return steps + self._release(now_ms)

    def stop(self, action_id: str, reason: str, now_ms: float) -> list[Step]:
        """Call one action off: at once if it was not begun, else by asking the game, which still answers.

        What is over stays as it is. Raises InputError (`unknown-action`).
        """
        action = self[action_id]
        match action.phase:
            case "proposed":
                steps: list[Step] = [Closed(self._put(action, phase="cancelled", reason=reason))]
                return steps + self._release(now_ms)
            case "committed" if not action.is_stopping:
                return [Stopped(self._put(action, is_stopping=True, reason=reason))]
            case _:
                return []

    def cancel(self, turn: int, reason: str, now_ms: float) -> list[Step]:
        """A barge-in, or the end of a failed turn: what was not begun will not be. Call `advance` with what was heard
        first."""
        steps: list[Step] = [
            Closed(self._put(action, phase="cancelled", reason=reason))
            for action in self.open(turn)
            if action.phase == "proposed"
        ]
        return steps + self._release(now_ms)

    def expire(self, now_ms: float) -> list[Step]:
        """Give up on actions whose time is over: `cancelled` where they were to stop, else `timed-out`."""
        late = [a for a in self.unanswered() if a.deadline_ms is not None and a.deadline_ms <= now_ms]
        steps: list[Step] = []
        for action in late:
            seconds = f"no answer for {action.timeout_ms / 1000:g} s"
            phase: Phase = "cancelled" if action.is_stopping else "timed-out"
            steps.append(Closed(self._put(action, phase=phase, reason=action.reason or seconds)))
        return steps + self._release(now_ms) if steps else []

    def next_deadline_ms(self) -> float | None:
        """When `expire` will have something to do."""
        deadlines = [action.deadline_ms for action in self.unanswered() if action.deadline_ms is not None]
        return min(deadlines, default=None)

    def to_json(self, now_ms: float) -> list[dict[str, Any]]:  # JSON
        """The ledger as JSON; deadlines as the time that is left, since another process has another clock."""
        rows = []
        for action in self:
            row = asdict(action)
            if action.deadline_ms is not None:
                row["deadline_ms"] = action.deadline_ms - now_ms
            rows.append(row)
        return rows

    @classmethod
    def from_json(cls, rows: object, now_ms: float) -> "ActionLedger":
        """Raises InputError where `rows` is not what `to_json` gave."""
        try:
            records = _records.validate_python(rows)
        except ValidationError as error:
            raise InputError(f"this is no ledger of actions: {str(error).splitlines()[0]}") from error
        moved = (
            action if action.deadline_ms is None else replace(action, deadline_ms=action.deadline_ms + now_ms)
            for action in records
        )
        return cls({action.id: action for action in moved})

    def _begin(self, action: ActionRecord, now_ms: float) -> list[Step]:
        """Commit it, whatever lies before it: the game has begun."""
        if action.phase != "proposed":
            return []
        deadline_ms = now_ms + action.timeout_ms
        return [Committed(self._put(action, phase="committed", is_reached=True, deadline_ms=deadline_ms))]

    def _release(self, now_ms: float) -> list[Step]:
        """Commit what is reached and has nothing before it in the way."""
        steps: list[Step] = []
        busy: set[int] = set()
        """Turns with an open action in sequence; parallel ones are in nobody's way, nor are those of another turn."""
        for action in self.open():
            if action.phase == "proposed" and action.is_reached and (action.is_parallel or action.turn not in busy):
                steps += self._begin(action, now_ms)
            if not action.is_parallel:
                busy.add(action.turn)
        self._forget()
        return steps

    def _put(self, action: ActionRecord, **changes: Any) -> ActionRecord:  # fields of ActionRecord
        record = replace(action, **changes)
        self._actions[record.id] = record
        return record

    def _forget(self) -> None:
        ended = [action.id for action in self if not action.is_open]
        for action_id in ended[:-MAX_ENDED]:
            del self._actions[action_id]


def _over(action: ActionRecord, what: str) -> InputError:
    endings = {"timed-out": "timed out", "cancelled": "was cancelled"}
    ending = endings.get(action.phase, f"has the result '{action.phase}'")
    return InputError(f"{what} for action '{action.id}' comes too late: it {ending}", "action-over")
