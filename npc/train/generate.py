"""Chat examples from the authored corpus: stage, exchange, prompt. Example n of a seed is always the same.

A prompt is built by the very function that a session uses, so that whatever
changes there is trained for after the next `npc train data`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from npc.actions import ActionSpec, Rejected, ReplyParser
from npc.character import build_prompt
from npc.state import Exchange
from npc.train.corpus import CastForm, Corpus, World
from npc.train.mishear import Mishearing
from npc.train.stage import set_stage
from npc.train.tasks import SHARES, Draft, Writer, write
from npc.turn import ChatMessage, Passage
from npc.world import Scene

MISHEARD = 0.18
"""Share of utterances that a recogniser got wrong somewhere."""
UNPUNCTUATED = 0.08


@dataclass(frozen=True, slots=True)
class ChatExample:
    kind: str
    world: str
    messages: tuple[ChatMessage, ...]
    reply: str

    def as_json(self) -> str:
        messages = [{"role": message.role, "content": message.content} for message in self.messages]
        return json.dumps(
            {"kind": self.kind, "world": self.world, "messages": messages, "reply": self.reply}, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, line: str) -> "ChatExample":
        fields = json.loads(line)
        messages = tuple(ChatMessage(message["role"], message["content"]) for message in fields["messages"])
        return cls(fields["kind"], fields["world"], messages, fields["reply"])


def examples(
    corpus: Corpus, n: int, seed: int = 0, mishearing: Mishearing | None = None, first: int = 0
) -> Iterator[ChatExample]:
    """`n` examples from number `first` on. Worlds come up as often as they have people."""
    cast = [(world, form) for world in corpus.worlds for form in world.form.cast]
    kinds, shares = list(SHARES), list(SHARES.values())
    for number in range(first, first + n):
        random = Random(f"{seed}/{number}")
        while True:
            kind = random.choices(kinds, shares)[0]
            made = _example(corpus, cast, kind, random, mishearing)
            if made is not None:
                yield made
                break


def _example(
    corpus: Corpus, cast: list[tuple[World, CastForm]], kind: str, random: Random, mishearing: Mishearing | None
) -> ChatExample | None:
    world, form = random.choice(cast)
    stage = set_stage(corpus, world, form, random)
    writer = Writer(corpus, stage, random)
    draft = write(kind, writer)
    if draft is None or not is_legal(draft, stage.character.actions, stage.scene):
        return None
    history = (*_talk_before(writer, random), *draft.history)
    utterance = draft.utterance
    if draft.is_heard and mishearing is not None and random.random() < MISHEARD:
        utterance = mishearing.apply(utterance, random)
    if random.random() < UNPUNCTUATED:
        utterance = utterance.rstrip(".!?").lower()
    messages = build_prompt(
        stage.character,
        stage.scene,
        history,
        [Passage(text, "knowledge.md", "") for text in draft.knows],
        utterance,
        draft.outcomes,
    )
    return ChatExample(kind, world.id, tuple(messages), draft.reply)


def is_legal(draft: Draft, actions: Sequence[ActionSpec], scene: Scene) -> bool:
    """Whether the engine's own reader takes every call of the reply."""
    parser = ReplyParser(actions, scene)
    return not any(isinstance(piece, Rejected) for piece in [*parser.push(draft.reply), *parser.flush()])


def _talk_before(writer: Writer, random: Random) -> list[Exchange]:
    """What was said earlier: a greeting, small talk, a request that was fulfilled."""
    history: list[Exchange] = []
    if random.random() < 0.5:
        history.append(Exchange("", writer.stage.line("hello", random)))
    for _ in range(random.choices((0, 1, 2, 3), (5, 3, 2, 1))[0]):
        kind = random.choice(("direct", "chat", "small_talk", "knowledge", "past", "absent", "unknown", "mention"))
        draft = write(kind, writer)
        if draft is not None and is_legal(draft, writer.stage.character.actions, writer.stage.scene):
            history.append(Exchange(draft.utterance, draft.reply))
    return history


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
