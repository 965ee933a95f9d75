"""How often words and deeds agree, before and after the check, on labelled replies of the characters that ship."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc.actions.agreement import Agreement, Mismatch
from npc.actions.markup import Act, ReplyParser, Say, render_call
from npc.character import Character, load_characters

Report = dict[str, Any]  # JSON

UNDECIDED = "?"
"""Wanted of a promise that only the model can keep or take back: that it is noticed."""


@dataclass(frozen=True, slots=True)
class Case:
    character: str
    player: str
    reply: str
    wanted: str
    """The calls that the reply should have made: `=` its own, `-` none, `?` for the model to say."""
    label: str
    """`agree`, `promised`, `denied` or `other`."""


@dataclass(frozen=True, slots=True)
class Judged:
    found: tuple[Mismatch, ...]
    calls: tuple[str, ...]
    """Made once the reply was mended."""


def read_cases(file: Path) -> list[Case]:
    return [Case(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines() if line]


def judge(case: Case, character: Character) -> Judged:
    """Play the reply through the parser and the check, as a session does."""
    agreement = Agreement(character.actions, character.scene, utterance=case.player)
    found: list[Mismatch] = []
    calls: list[Act] = []
    parser = ReplyParser(character.actions, character.scene)
    for piece in [*parser.push(case.reply), *parser.flush()]:
        match piece:
            case Say(text):
                agreement.say(text)
            case Act():
                mismatch = agreement.act(piece)
                if mismatch is None:
                    calls.append(piece)
                else:
                    found.append(mismatch)
                    calls += [mismatch.instead] if mismatch.instead else []
            case _:
                raise ValueError(f"{case.reply}: {piece} is not legal")
    for mismatch in agreement.end():
        found.append(mismatch)
        calls = [call for call in calls if call != mismatch.call]
        calls += [mismatch.instead] if mismatch.instead else []
    return Judged(tuple(found), tuple(render_call(call.name, call.args) for call in calls))


def run_agreement_profile(cases: Sequence[Case]) -> Report:
    """Shares of replies whose calls are as wanted, before and after; precision and recall of noticing."""
    characters = load_characters()
    outcomes: Counter[str] = Counter()
    misjudged: list[str] = []
    for case in cases:
        judged = judge(case, characters[case.character])
        labels = {mismatch.kind for mismatch in judged.found}
        is_right = (labels == set()) if case.label == "agree" else (case.label in labels)
        outcomes["disagreeing"] += case.label != "agree"
        outcomes["noticed"] += bool(labels)
        outcomes["rightly"] += bool(labels) and case.label != "agree"
        outcomes["right kind"] += is_right
        outcomes["mended"] += is_mended(case, judged)
        if not is_right or not is_mended(case, judged):
            misjudged.append(f"{case.reply} → {sorted(labels)} {' '.join(judged.calls)}; {case.label} {case.wanted}")
    n = len(cases)
    return {
        "n": n,
        "disagree_before": round(outcomes["disagreeing"] / n, 3),
        "disagree_after": round(1 - outcomes["mended"] / n, 3),
        "precision": round(outcomes["rightly"] / max(outcomes["noticed"], 1), 3),
        "recall": round(outcomes["rightly"] / max(outcomes["disagreeing"], 1), 3),
        "right_kind": round(outcomes["right kind"] / n, 3),
        "misjudged": misjudged,
    }


def is_mended(case: Case, judged: Judged) -> bool:
    if case.wanted == UNDECIDED:
        return bool(judged.found) and not judged.calls
    own = case.reply[case.reply.index("[") : case.reply.index("]") + 1] if "[" in case.reply else ""
    wanted = {"-": (), "=": (own,)}.get(case.wanted, (case.wanted,))
    return judged.calls == wanted
