"""Chat examples from the authored corpus: stage, exchanges, prompt. Example n of a seed is always the same.

A prompt is built by the very function that a session uses, so that whatever
changes there is trained for after the next `npc train data`. One prompt
teaches several replies: the last, and those before it that need nothing which
only the last message can hold.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from npc.actions import ActionSpec, Rejected, ReplyParser
from npc.actions.reference import explained
from npc.character import Character, Example, build_prompt
from npc.feeling.mood import Feeling
from npc.feeling.mood import told as tell_feeling
from npc.state import Exchange
from npc.train.casting import set_stage
from npc.train.corpus import Corpus, World
from npc.train.forms import CastForm
from npc.train.mishear import Mishearing
from npc.train.tasks import BESIDE, EARLIER, KINDS, SHARES, Draft, Writer, write
from npc.turn import ChatMessage, Passage
from npc.world import Scene, tell_now

MISHEARD = 0.3
"""Share of what is heard that goes through the recogniser's mistakes; the rest is as typed."""
UNPUNCTUATED = 0.06
TYPED = 0.03
"""Share of utterances with a slip of the finger."""
TURNS = (4, 4, 5, 5, 4, 3, 2, 1)
"""How often so many kinds of exchange come before the last."""
MOODY = 0.2
REFERRED = 0.5
"""Share of pointed words that the prompt explains, as a session does for those that it can resolve."""


@dataclass(frozen=True, slots=True)
class ChatExample:
    kind: str
    world: str
    messages: tuple[ChatMessage, ...]
    reply: str
    earlier: tuple[int, ...] = ()
    """Which of `messages` are replies to be learnt as well."""

    def as_json(self) -> str:
        messages = [{"role": message.role, "content": message.content} for message in self.messages]
        fields = {"kind": self.kind, "world": self.world, "messages": messages, "reply": self.reply}
        return json.dumps({**fields, "earlier": self.earlier} if self.earlier else fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "ChatExample":
        fields = json.loads(line)
        messages = tuple(ChatMessage(message["role"], message["content"]) for message in fields["messages"])
        return cls(fields["kind"], fields["world"], messages, fields["reply"], tuple(fields.get("earlier", ())))


def examples(
    corpus: Corpus, n: int, seed: int = 0, mishearing: Mishearing | None = None, first: int = 0
) -> Iterator[ChatExample]:
    """`n` examples from number `first` on. Worlds come up as often as they have people."""
    cast = [(world, form) for world in corpus.worlds for form in world.form.cast]
    for number in range(first, first + n):
        random = Random(f"{seed}/{number}")
        while True:
            made = _example(corpus, cast, random, mishearing)
            if made is not None:
                yield made
                break


def _example(
    corpus: Corpus, cast: list[tuple[World, CastForm]], random: Random, mishearing: Mishearing | None
) -> ChatExample | None:
    stage = set_stage(corpus, *random.choice(cast), random)
    kind = random.choices(list(SHARES), list(SHARES.values()))[0]
    writer = Writer(corpus, stage, random)
    draft = _legal(kind, writer)
    if draft is None:
        return None
    writer = Writer(corpus, replace(stage, character=_with_examples(stage.character, writer)), random)
    history: list[Exchange] = []
    learnt: list[bool] = []
    if random.random() < 0.5:
        history.append(Exchange("", writer.line("hello")))
        learnt.append(False)
    for _ in range(random.choices(range(8), TURNS)[0]):
        for exchange, is_plain in _talk(writer, mishearing):
            history.append(exchange)
            learnt.append(is_plain)
    for exchange in draft.history:
        history.append(replace(exchange, player=_as_heard(exchange.player, random, mishearing)))
        learnt.append(draft.history_is_taught)
    utterance = _as_heard(draft.utterance, random, mishearing) if draft.is_heard else draft.utterance
    knows = draft.knows
    if not knows and random.random() < BESIDE.get(kind, 0.0):
        knows = writer.found_beside(draft.utterance)
    messages = build_prompt(
        writer.stage.character,
        stage.scene,
        history,
        [Passage(text, "knowledge.md", "") for text in knows],
        utterance,
        draft.outcomes,
        _notes(draft, utterance, stage.scene, random),
    )
    # The last message is the utterance; before it two messages an exchange.
    begins = len(messages) - 1 - 2 * len(history)
    earlier = tuple(begins + 2 * n + 1 for n, is_learnt in enumerate(learnt) if is_learnt)
    return ChatExample(kind, stage.world.id, tuple(messages), draft.reply, earlier)


def _talk(writer: Writer, mishearing: Mishearing | None) -> Iterator[tuple[Exchange, bool]]:
    """Exchanges of one kind from the middle of a talk, and whether each can be learnt where it stands."""
    kind = writer.random.choices(list(EARLIER), list(EARLIER.values()))[0]
    draft = _legal(kind, writer)
    if draft is None:
        return
    for exchange in (*draft.history, Exchange(draft.utterance, draft.reply)):
        heard = _as_heard(exchange.player, writer.random, mishearing) if draft.is_heard else exchange.player
        is_last = exchange.npc is draft.reply
        yield Exchange(heard, exchange.npc), draft.is_plain if is_last else draft.history_is_taught


def _legal(kind: str, writer: Writer) -> Draft | None:
    draft = write(kind, writer)
    stage = writer.stage
    return draft if draft is not None and is_legal(draft, stage.character, stage.scene) else None


def is_legal(draft: Draft, character: Character, scene: Scene) -> bool:
    """Whether the engine's own reader takes every call of the replies."""
    return all(_is_readable(text, character, scene) for text in (*(e.npc for e in draft.history), draft.reply))


def _is_readable(reply: str, character: Character, scene: Scene) -> bool:
    actions: Sequence[ActionSpec] = character.actions
    parser = ReplyParser(actions, scene, expressions=character.expressions)
    return not any(isinstance(piece, Rejected) for piece in [*parser.push(reply), *parser.flush()])


_SHOWN_KINDS = ("direct", "direct", "direct", "two", "past", "how", "knowledge", "chat", "persona", "limit", "absent")


def _with_examples(character: Character, writer: Writer) -> Character:
    """Most sheets show a few model exchanges; they are in the prompt of every turn."""
    made: list[Example] = []
    for _ in range(writer.random.choices((0, 1, 2, 3), (3, 1, 3, 4))[0]):
        draft = _legal(writer.random.choice(_SHOWN_KINDS), writer)
        if draft is not None and not draft.history:
            made.append(Example(draft.utterance, draft.reply))
    return replace(character, examples=tuple(made))


def _notes(draft: Draft, utterance: str, scene: Scene, random: Random) -> tuple[str, ...]:
    """In the order of a session: the moment, what pointing words mean, how one feels, what hinders."""
    notes = list(tell_now(scene))
    if draft.recent and random.random() < REFERRED:
        notes += explained(utterance, scene, draft.recent)
    meant = [note for note in draft.notes if note.startswith("By ")]
    notes += meant
    if random.random() < MOODY:
        feeling = Feeling(*(random.uniform(-80, 80) for _ in range(3)))
        notes += tell_feeling(feeling)
    notes += [note for note in draft.notes if note not in meant]
    return tuple(notes)


def _as_heard(text: str, random: Random, mishearing: Mishearing | None) -> str:
    draw = random.random()
    if mishearing is not None and draw < MISHEARD:
        return mishearing.apply(text, random)
    if draw > 1 - UNPUNCTUATED:
        return text.rstrip(".!?").lower()
    if draw > 1 - UNPUNCTUATED - TYPED:
        return _mistyped(text, random)
    return text


def _mistyped(text: str, random: Random) -> str:
    """Two letters swapped, one left out, or one doubled, in a longer word."""
    words = text.split(" ")
    places = [n for n, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not places:
        return text
    n = random.choice(places)
    word, at = words[n], random.randrange(1, len(words[n]) - 2)
    match random.randrange(3):
        case 0:
            words[n] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            words[n] = word[:at] + word[at + 1 :]
        case _:
            words[n] = word[:at] + word[at] + word[at:]
    return " ".join(words)


def write_examples(file: Path, made: Iterator[ChatExample]) -> dict[str, int]:
    """One JSON object a line; how many of each kind."""
    counts: Counter[str] = Counter()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        for example in made:
            counts[example.kind] += 1
            stream.write(example.as_json() + "\n")
    return dict(sorted(counts.items()))


def read_examples(file: Path) -> Iterator[ChatExample]:
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            yield ChatExample.from_json(line)


__all__ = ["KINDS", "ChatExample", "examples", "is_legal", "read_examples", "write_examples"]
