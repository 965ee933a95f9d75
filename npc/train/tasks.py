"""The kinds of exchange, how often each is drawn, and what a character shows with them.

The convention: characters are willing. A clear request that can be fulfilled
is acted on at once, in the order asked; questions, reports, what was or might
be, requests not to, and what is not here call nothing, and the reply says so
in the character's own manner.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from npc.train import idle, pointing, requests, talk
from npc.train.writer import Draft, Writer

KINDS: Mapping[str, tuple[Callable[[Writer], Draft | None], float, float]] = {
    "direct": (requests.direct, 11, 27),
    "indirect": (requests.indirect, 8, 16),
    "reference": (pointing.reference, 2.5, 7),
    "talked": (pointing.talked, 4, 4),
    "offered": (requests.offered, 1.2, 1.5),
    "then": (pointing.then, 1.5, 4),
    "again": (pointing.again, 0.4, 1),
    "another": (pointing.another, 1.5, 4),
    "deictic": (pointing.deictic, 1.5, 0),
    "two": (requests.two, 4.5, 11),
    "outcome": (requests.outcome, 2.2, 0),
    "hindered": (requests.hindered, 1.4, 0),
    "negated": (idle.negated, 1.2, 4),
    "past": (idle.past, 1.2, 4),
    "reported": (idle.reported, 1.2, 4),
    "hypothetical": (idle.hypothetical, 1.2, 4),
    "how": (idle.how, 1, 3),
    "thanked": (idle.thanked, 1.2, 3),
    "absent": (idle.absent, 3, 9),
    "cannot": (idle.cannot, 2.5, 6),
    "knowledge": (talk.knowledge, 33, 3),
    "unknown": (talk.unknown, 14, 1),
    "both": (talk.both, 7, 0),
    "persona": (talk.persona, 4, 10),
    "limit": (talk.limit, 0.8, 1.5),
    "chat": (talk.chat, 2, 5),
    "small_talk": (talk.small_talk, 2, 4),
    "mention": (talk.mention, 1, 3),
    "told": (talk.told, 1.6, 0),
    "injection": (talk.injection, 1.3, 2),
    "outside": (talk.outside, 1, 2),
}
"""How each is written; how often it is what the player says last, and how often it is part of the talk before."""

SHARES: Mapping[str, float] = {kind: last for kind, (_, last, _) in KINDS.items()}
EARLIER: Mapping[str, float] = {kind: earlier for kind, (_, _, earlier) in KINDS.items() if earlier}


BESIDE: Mapping[str, float] = {
    **dict.fromkeys(
        ("direct", "indirect", "reference", "talked", "offered", "then", "again", "another", "deictic", "outcome"), 0.45
    ),
    **dict.fromkeys(("negated", "past", "reported", "hypothetical", "how", "thanked", "absent", "cannot"), 0.4),
    **dict.fromkeys(("two", "hindered", "mention", "told", "chat"), 0.4),
    **dict.fromkeys(("persona", "limit", "small_talk", "outside", "injection"), 0.12),
}
"""How often retrieval finds something where nothing was asked: as often as on the held-out characters."""


def write(kind: str, writer: Writer) -> Draft | None:
    """None where the stage has nothing for this kind."""
    draft = KINDS[kind][0](writer)
    return draft if draft is None else replace(draft, reply=show(kind, draft.reply, writer))


SHOWN = 0.3
"""Share of the replies that show something, where the sheet has what fits."""
_FEELINGS: Mapping[str, tuple[str, ...]] = {
    "thanked": ("fond", "bright", "cheerful", "proud", "gentle", "tender", "smug"),
    "small_talk": ("cheerful", "bright", "gruff", "calm", "playful", "bored"),
    "unknown": ("curious", "worried", "ashamed", "wary"),
    "absent": ("curious", "amused", "wary", "gruff"),
    "cannot": ("amused", "sad", "ashamed", "grave"),
    "limit": ("suspicious", "wary", "angry", "grave"),
    "injection": ("suspicious", "wary", "amused", "curious"),
    "outside": ("curious", "amused", "bored"),
    "negated": ("calm", "gentle", "gruff"),
    "reported": ("amused", "suspicious", "proud"),
    "persona": ("proud", "wistful", "tender", "smug"),
    "direct": ("playful", "bossy", "cheerful", "calm"),
    "hindered": ("sad", "worried", "gruff"),
}
_GESTURES: Mapping[str, tuple[str, ...]] = {
    "thanked": ("bow", "tip_hat", "wink"),
    "small_talk": ("bow", "tip_hat", "raise_cup", "wink", "stretch"),
    "unknown": ("shrug", "scratch_head", "spread_arms"),
    "absent": ("shrug", "spread_arms", "scratch_head"),
    "cannot": ("shrug", "sigh", "spread_arms", "step_back"),
    "limit": ("fold_arms", "step_back"),
    "injection": ("scratch_head", "shrug", "fold_arms"),
    "outside": ("scratch_head", "shrug"),
    "direct": ("rub_hands", "clap", "point"),
    "knowledge": ("lean_in", "point"),
    "persona": ("fold_arms", "lean_in", "wink"),
}


def show(kind: str, reply: str, writer: Writer) -> str:
    """`reply` with a feeling or a gesture of the sheet that goes with it, behind its first sentence mostly."""
    character, random = writer.stage.character, writer.random
    if not (character.emotions or character.gestures) or random.random() > SHOWN:
        return reply
    feelings = [name for name in _FEELINGS.get(kind, ()) if name in character.emotions]
    gestures = [name for name in _GESTURES.get(kind, ()) if name in character.gestures]
    calls = [f"[feel(name={name})]" for name in feelings] + [f"[gesture(name={name})]" for name in gestures]
    if not calls:
        return reply
    call = random.choice(calls)
    first = re.match(r"[^\[.!?]*[.!?](?= |$)", reply)
    if first is None or random.random() < 0.15:
        return f"{call} {reply}"
    return f"{first[0]} {call}{reply[first.end() :]}"


__all__ = ["BESIDE", "EARLIER", "KINDS", "SHARES", "Draft", "Writer", "show", "write"]
