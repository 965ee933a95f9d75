"""Learns the table of phrases that drafts a model's replies: from exchanges like those that the model is tuned on.

A phrase is kept when it came up more than once, is likely to go on as it did,
and says something that its own end alone does not.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from npc.llm.phrases import LONGEST, Phrases, context_keys
from npc.models.adapter import write_sums
from npc.train.recipe import Recipe

_LEAST_CHANCE = 0.15
"""Below this no draft pays on any machine."""
_DOUBT = 0.6
"""Added to how often a context was seen: what was seen twice is not certain."""


def learn(replies: Iterable[Sequence[int]], least: int = 2) -> Phrases:
    """`replies` in tokens, each with its end token; contexts seen less than `least` times are forgotten."""
    followers: defaultdict[int, Counter[int]] = defaultdict(Counter)
    shorter: dict[int, int] = {}
    for reply in replies:
        for n in range(len(reply)):
            keys = context_keys(reply[max(0, n - LONGEST) : n]) if n >= LONGEST else context_keys(reply[:n])
            for index, key in enumerate(keys):
                followers[key][reply[n]] += 1
                shorter[key] = keys[index - 1] if index else 0
    found: dict[int, tuple[int, int]] = {}
    for key, counts in followers.items():
        n_seen = counts.total()
        token, n = counts.most_common(1)[0]
        chance = n / (n_seen + _DOUBT)
        if n_seen >= least:
            found[key] = token, round(255 * chance)
    kept = {key: value for key, value in found.items() if _says_more(key, value, found, shorter)}
    order = sorted(kept)
    return Phrases(
        np.array(order, np.uint64),
        np.array([kept[key][0] for key in order], np.int32),
        np.array([kept[key][1] for key in order], np.uint8),
    )


def share_guessed(phrases: Phrases, replies: Iterable[Sequence[int]]) -> float:
    """How many of the tokens after a reply's first are what the table says first."""
    guesses = [phrases.following(reply[:n])[0] == reply[n] for reply in replies for n in range(1, len(reply))]
    return sum(guesses) / max(1, len(guesses))


def export(phrases: Phrases, recipe: Recipe, n_replies: int, on_dev: float | None, folder: Path) -> None:
    """The table, its card and checksums."""
    phrases.write(folder)
    watched = ""
    if on_dev is not None:
        share = f"{100 * on_dev:.1f} % of the tokens after a reply's first"
        watched = f"\nKept out: {', '.join(recipe.dev_worlds)}. There the table's first guess is {share}.\n"
    (folder / "README.md").write_text(
        f"""# What the model likes to say

{len(phrases):,} phrases of up to {LONGEST} tokens ({recipe.base}'s tokenizer), each with the token that followed most
often and its chance. Drafts a reply while it is written (npc/llm/phrases.py); what is said is the same with and
without it.

Data: {n_replies:,} replies, seed {recipe.seed}, from what is authored in npc/train/data. Licence: Apache-2.0.
{watched}""",
        encoding="utf-8",
    )
    write_sums(folder)


def _says_more(key: int, value: tuple[int, int], found: dict[int, tuple[int, int]], shorter: dict[int, int]) -> bool:
    """Whether the phrase says otherwise than the longest end of it that is known."""
    end = found.get(shorter[key])
    if end is None:
        return value[1] >= 255 * _LEAST_CHANCE
    return end[0] != value[0] or abs(end[1] - value[1]) > 12
