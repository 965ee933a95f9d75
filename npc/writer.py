"""The model's stream as lines for the actor: clauses to say, actions to take, what to show.

Words and deeds are held against each other as they come: a call that the
words before it deny is dropped or mended here, before anybody hears of it; what
only the end of the reply shows is mended there.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from npc.actions import Act, Feel, Gesture, Piece, Rejected, ReplyParser, Say
from npc.actions.agreement import Agreement, Mismatch
from npc.character import Character
from npc.moment import Moment
from npc.profile import Trace
from npc.stages import LanguageModel
from npc.tts import ClauseSplitter
from npc.turn import ChatMessage, GenerationEnd, Grammar

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retract:
    """The words behind a call deny it: call it off, unless it was begun."""

    act: Act
    reason: str


Line = str | Act | Feel | Gesture | Retract
Lines = asyncio.Queue[Line | None]
"""None comes last."""


class Writer:
    """Writes for one reply; may be asked several times, for second thoughts."""

    def __init__(self, character: Character, llm: LanguageModel, trace: Trace, max_words: int) -> None:
        self.n_pieces = 0
        """How much was written: pieces of text, a token each or a few."""
        self._character = character
        self._llm = llm
        self._trace = trace
        self._max_words = max_words
        self._has_begun = False

    async def write(
        self, messages: Sequence[ChatMessage], grammar: Grammar, moment: Moment, lines: Lines
    ) -> Mismatch | None:
        """Put everything that the model writes into `lines`; what it promised and only it can do. Raises StageError."""
        sheet = _Sheet(self._character, moment, lines)
        is_first, self._has_begun = not self._has_begun, True
        start_ms = self._trace.now_ms()
        first_ms: float | None = None
        end: GenerationEnd | None = None
        written = ""
        async with aclosing(self._llm.generate(messages, self._character.sampling, grammar)) as stream:
            async for part in stream:
                if isinstance(part, GenerationEnd):
                    end = part
                    break
                if first_ms is None:
                    first_ms = self._trace.now_ms()
                if sheet.push(part.text) and is_first:
                    self._trace.add("first_clause", first_ms, self._trace.now_ms())
                    is_first = False
                self.n_pieces += 1
                written += part.text
                if _has_said_enough(written, self._max_words):
                    break
        self._trace_generation(end, start_ms, first_ms or self._trace.now_ms())
        if sheet.end() and is_first:
            self._trace.add("first_clause", first_ms or start_ms, self._trace.now_ms())
        lines.put_nowait(None)
        return sheet.promise

    def _trace_generation(self, end: GenerationEnd | None, start_ms: float, first_ms: float) -> None:
        """`end` is None where the reply was cut short; the engine has then not told how it got there."""
        if end is None:
            self._trace.add("prefill", start_ms, first_ms)
            self._trace.add("write", first_ms, self._trace.now_ms())
            return
        prefilled_ms = min(start_ms + end.prefill_ms, first_ms)
        self._trace.add(
            "prefill", start_ms, prefilled_ms, n_prompt_tokens=end.n_prompt_tokens, n_cached_tokens=end.n_cached_tokens
        )
        self._trace.add("first_token", prefilled_ms, first_ms)
        self._trace.add(
            "write",
            first_ms,
            self._trace.now_ms(),
            n_tokens=end.n_generated_tokens,
            n_steps=end.n_steps,
            n_drafted_tokens=end.n_drafted_tokens,
            n_accepted_tokens=end.n_accepted_tokens,
        )


class _Sheet:
    """One stretch of writing, cut into lines."""

    def __init__(self, character: Character, moment: Moment, lines: Lines) -> None:
        self.promise: Mismatch | None = None
        """What was said that it will be done, in words that leave open with what."""
        self._lines = lines
        self._parser = ReplyParser(character.actions, moment.scene, moment.gauges, character.expressions)
        self._clauses = ClauseSplitter()
        self._agreement = Agreement(character.actions, moment.scene, moment.gauges, moment.text)

    def push(self, text: str) -> bool:
        """Whether there is a line by it."""
        return self._take(self._parser.push(text))

    def end(self) -> bool:
        has_lines = self._take(self._parser.flush()) | self._say(self._clauses.flush())
        for mismatch in self._agreement.end():
            if mismatch.call is not None:
                self._put(Retract(mismatch.call, f'the character said "{mismatch.sentence}"'))
            if mismatch.instead is not None:
                self._put(mismatch.instead)
            if mismatch.call is None and mismatch.instead is None:
                self.promise = mismatch
        return has_lines

    def _take(self, pieces: Sequence[Piece]) -> bool:
        has_lines = False
        for piece in pieces:
            if isinstance(piece, Say):
                self._agreement.say(piece.text)
                has_lines |= self._say(self._clauses.push(piece.text))
                continue
            if isinstance(piece, Rejected):
                log.warning("a call that is not legal was left out: %s", piece.reason)
                continue
            has_lines |= self._say(self._clauses.flush())
            if isinstance(piece, Act):
                has_lines |= self._act(piece)
            else:
                self._put(piece)
                has_lines = True
        return has_lines

    def _act(self, act: Act) -> bool:
        mismatch = self._agreement.act(act)
        if mismatch is not None:
            log.info("%s does not go with what was said, and is mended (%s)", act.name, mismatch.kind)
        made = act if mismatch is None else mismatch.instead
        if made is not None:
            self._put(made)
        return made is not None

    def _say(self, clauses: Sequence[str]) -> bool:
        said = [clause.strip() for clause in clauses if clause.strip()]
        for clause in said:
            self._put(clause)
        return bool(said)

    def _put(self, line: Line) -> None:
        self._lines.put_nowait(line)


def _has_said_enough(written: str, n_words: int) -> bool:
    """A reply that is long enough ends with its sentence, whatever the model would add."""
    return written.rstrip().endswith((".", "!", "?", "]")) and len(written.split()) >= n_words
