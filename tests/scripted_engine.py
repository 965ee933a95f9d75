"""An engine whose characters follow a script, to test the server and the clients without models.

What a player types decides what happens: "crash" ends the session with a bug,
"fail" fails the turn, "long" speaks until it is interrupted, "walk" adds an
action; anything else is answered with "You said: …". Speech is answered at
`speech-end`, with how much of it was heard. Every reply's audio is the loudness
that the player's name ends in, so that mixed-up sessions are seen.

    python tests/scripted_engine.py --port 0     # `npc serve` with this engine
"""

import asyncio
import itertools
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from npc.config import Settings
from npc.errors import InputError
from npc.events import (
    ActionEvent,
    ActionResult,
    ClientEvent,
    ErrorEvent,
    Interrupt,
    PassagesEvent,
    PassageUsed,
    PlayerText,
    ReplyEnded,
    ReplyStarted,
    ServerEvent,
    SessionEnd,
    SessionReady,
    SessionStart,
    SpanReport,
    SpeechEnd,
    SpeechStarted,
    SpeechStopped,
    TimedWord,
    TranscriptEvent,
    TurnMetrics,
    WordsEvent,
)
from npc.frames import REPLY, AudioFrame, to_pcm
from npc.outbox import Outbox

RATE_HZ = 24_000
FRAME_SAMPLES = 1_440
MAX_QUEUED_FRAMES = 8


class ScriptedSession:
    def __init__(self, start: SessionStart, session_id: str) -> None:
        self.id = session_id
        self.start = start
        self.received: list[ClientEvent] = []
        self.arrivals: asyncio.Queue[ClientEvent] = asyncio.Queue()
        """The same, to wait for."""
        self.heard = bytearray()
        self.is_running = False
        self.has_ended = asyncio.Event()
        self._outbox = Outbox(MAX_QUEUED_FRAMES)
        self._inbox: asyncio.Queue[ClientEvent] = asyncio.Queue()
        self._closing = asyncio.Event()
        self._turn = 0
        self._speaking: asyncio.Task[None] | None = None

    @property
    def ready(self) -> SessionReady:
        character = self.start.character
        return SessionReady(
            session=self.id, character=character, name=character.title(), voice="plain", rate_hz=RATE_HZ
        )

    def hear(self, pcm: bytes) -> None:
        if pcm and not self.heard:
            self._outbox.put(SpeechStarted(turn=self._turn + 1))
        self.heard += pcm

    def handle(self, event: ClientEvent) -> None:
        self.received.append(event)
        self.arrivals.put_nowait(event)
        match event:
            case SessionStart():
                raise InputError("the session has started", "already-started")
            case ActionResult(action=action) if action != "a1":
                raise InputError(f"no action '{action}' waits for a result", "unknown-action")
            case SessionEnd():
                self._closing.set()
            case _:
                self._inbox.put_nowait(event)

    async def next(self) -> ServerEvent | AudioFrame:
        return await self._outbox.take()

    async def run(self) -> None:
        self.is_running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                attending = tasks.create_task(self._attend(tasks))
                await self._closing.wait()
                attending.cancel()
                if self._speaking is not None:
                    self._speaking.cancel()
        finally:
            self.is_running = False
            self.has_ended.set()
            self._outbox.close()

    async def _attend(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            match await self._inbox.get():
                case PlayerText(text="crash"):
                    raise RuntimeError("a bug in the engine")
                case PlayerText(text=text):
                    self._interrupt()
                    self._turn += 1
                    self._speaking = tasks.create_task(self._answer(self._turn, text))
                case SpeechEnd():
                    self._turn += 1
                    rate_hz, channels = self.start.audio.rate_hz, self.start.audio.channels
                    heard_ms = len(self.heard) // 2 // channels * 1000 // rate_hz
                    self.heard.clear()
                    self._outbox.put(SpeechStopped(turn=self._turn))
                    self._outbox.put(TranscriptEvent(turn=self._turn, text=f"{heard_ms} ms", is_final=True))
                    self._speaking = tasks.create_task(self._answer(self._turn, f"{heard_ms} ms"))
                case Interrupt():
                    self._interrupt()
                case _:
                    pass

    def _interrupt(self) -> None:
        if self._speaking is not None and not self._speaking.done():
            self._speaking.cancel()
            self._outbox.drop_audio(self._turn)
            self._outbox.put(
                ReplyEnded(turn=self._turn, reason="interrupted", text="You said", n_samples=FRAME_SAMPLES)
            )

    async def _answer(self, turn: int, text: str) -> None:
        put = self._outbox.put
        put(ReplyStarted(turn=turn))
        if text == "fail":
            put(ErrorEvent(code="stage-failed", message="llm: it failed", turn=turn))
            put(ReplyEnded(turn=turn, reason="failed", text="", n_samples=0))
            return
        if text == "went on":
            put(ReplyEnded(turn=turn, reason="interrupted", text="", n_samples=0, continued=True))
            self._turn += 1
            await self._answer(self._turn, "all of it")
            return
        passage = PassageUsed(file="knowledge/village.md", heading="The well", text="It is deep.", score=0.7)
        put(PassagesEvent(turn=turn, passages=(passage,)))
        reply = f"You said: {text}"
        words = (TimedWord(text=reply, sample=0, end_sample=FRAME_SAMPLES),)
        put(WordsEvent(turn=turn, sample=0, text=reply, words=words, phonemes=()))
        n_samples = 0
        for sample in self._samples(is_endless=text == "long"):
            await self._outbox.room()
            put(AudioFrame(REPLY, turn, sample, to_pcm(np.full(FRAME_SAMPLES, self.loudness, np.float32))))
            n_samples = sample + FRAME_SAMPLES
        if text == "walk":
            put(ActionEvent(turn=turn, sample=n_samples, id="a1", name="walk_to", args={"place": "well"}))
        put(AudioFrame(REPLY, turn, n_samples, b"", is_last=True))
        put(TurnMetrics(turn=turn, voice_to_voice_ms=120.0, spans=(SpanReport(name="llm", start_ms=0, end_ms=80),)))
        put(ReplyEnded(turn=turn, reason="done", text=reply, n_samples=n_samples))

    @property
    def loudness(self) -> float:
        """By the number that the player's name ends in: "player3" → 0.3."""
        digits = "".join(character for character in self.start.player if character.isdigit())
        return int(digits or 0) / 10

    @staticmethod
    def _samples(is_endless: bool) -> Iterator[int]:
        return itertools.count(0, FRAME_SAMPLES) if is_endless else iter(range(0, 3 * FRAME_SAMPLES, FRAME_SAMPLES))


@dataclass(frozen=True)
class ScriptedCharacter:
    id: str
    role: str = "character of a script"

    @property
    def name(self) -> str:
        return self.id.title()


class ScriptedEngine:
    def __init__(self, *characters: str) -> None:
        self.characters = {name: ScriptedCharacter(name) for name in characters or ("mira", "kenji", "ada")}
        self.sessions: list[ScriptedSession] = []
        self.has_session = asyncio.Event()

    @classmethod
    async def load(cls, settings: Settings, progress: object) -> "ScriptedEngine":
        return cls()

    def open(self, start: SessionStart) -> ScriptedSession:
        if start.character not in self.characters:
            have = ", ".join(self.characters)
            raise InputError(f"no character '{start.character}'; have {have}", "unknown-character")
        session = ScriptedSession(start, f"s{len(self.sessions) + 1}")
        self.sessions.append(session)
        self.has_session.set()
        return session

    async def close(self) -> None:
        print("the engine is closed", flush=True)


def main() -> None:
    """`npc serve` as it is, but for the engine."""
    import typer

    from npc.cli.serve import serve

    engine = types.ModuleType("npc.engine")
    vars(engine)["Engine"] = ScriptedEngine
    sys.modules["npc.engine"] = engine
    app = typer.Typer()
    app.command()(serve)
    app()


if __name__ == "__main__":
    main()
