"""What a great scene costs a reply: reports of the game, the grammar of calls, and each token under it.

Medians over many rounds, in milliseconds, on a scene of as many entities as
may be, for a character with every action that ships and with requirements on
some, with the tokenizer of the embedded model.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npc.actions import ActionSpec, compile_reply_grammar, load_library
from npc.actions.choices import one_of
from npc.actions.requires import read_requires
from npc.world import Being, Entity, Scene, SceneDelta, apply_delta, perceived, tell_now
from npc.world.scene import MAX_ENTITIES

if TYPE_CHECKING:
    from llguidance import LLMatcher

Report = dict[str, Any]  # JSON: names of measures, milliseconds

REPLY = " Aye, I will see to that. [walk_to(place=place_100)] Mind the step. [give(item=object_7, to=player)] There."
REQUIRES = {
    "open": {"near": "thing"},
    "pick_up": {"near": "item"},
    "give": {"near": "to"},
    "follow": {"regard": "< 90"},
}


def crowded(n_entities: int = MAX_ENTITIES) -> Scene:
    """A scene of places, objects and characters on a line, one every half metre."""

    def entities(kind: str, n: int) -> tuple[Entity, ...]:
        return tuple(
            Entity(id=f"{kind}_{i}", name=f"the {kind} number {i}", position=(i / 2, 0, 0), description="as it is")
            for i in range(n)
        )

    third = n_entities // 3
    return Scene(
        description="A crowded market.",
        places=entities("place", third),
        objects=entities("object", third),
        characters=entities("character", n_entities - 2 * third),
        player=Being(position=(0, 1, 0), looking_at="object_3"),
        npc=Being(position=(0, 0, 0)),
    )


def demanding_library() -> tuple[ActionSpec, ...]:
    """The actions that ship, some with requirements."""
    return tuple(
        replace(action, requires=read_requires(REQUIRES.get(action.name, {}))) for action in load_library().values()
    )


def run_actions_profile(model_folder: Path | None = None, n_rounds: int = 50) -> Report:
    """`delta`, `perceived`, `told`, `grammar`; with a model's folder also `matcher` (its engine reads the grammar)
    and the mean `mask` of a token, in the first reply under a grammar and in those after it."""
    scene, actions = crowded(), demanding_library()
    update = (
        '{"objects": [{"id": "object_3", "position": [1, 2, 3]}, {"id": "object_4", "held_by": "player"}],'
        ' "characters": [{"id": "character_9", "position": [3, 2, 1], "looking_at": "npc"}],'
        ' "player": {"position": [1, 1, 1]}}'
    )
    report: Report = {
        "entities": len(scene.entities),
        "actions": len(actions),
        "delta": median_ms(lambda: apply_delta(scene, SceneDelta.model_validate_json(update)), n_rounds),
        "perceived": median_ms(lambda: perceived(scene), n_rounds),
        "told": median_ms(lambda: tell_now(scene), n_rounds),
        "grammar": median_ms(lambda: compile_reply_grammar(actions, scene), n_rounds),
        "grammar_of_new_names": median_ms(new_names(actions, scene), n_rounds),
    }
    if model_folder is not None:
        report |= _matcher(model_folder, compile_reply_grammar(actions, scene).lark, n_rounds)
    return report


def new_names(actions: tuple[ActionSpec, ...], scene: Scene) -> Callable[[], object]:
    """Compiles as if the scene had never been seen."""

    def work() -> object:
        one_of.cache_clear()
        return compile_reply_grammar(actions, scene)

    return work


def _matcher(model_folder: Path, lark: str, n_rounds: int) -> Report:
    import llguidance

    from npc.llm.tokenizer import ChatTokenizer

    tokenizer = ChatTokenizer(model_folder)
    trie = llguidance.LLTokenizer(tokenizer.library.to_str())
    tokens = tokenizer.encode(REPLY.strip())

    def compiled() -> llguidance.LLMatcher:
        return llguidance.LLMatcher(trie, llguidance.LLMatcher.grammar_from_lark(lark), log_level=0)

    compiled()  # what is computed once a process
    kept = compiled()
    return {
        "matcher": median_ms(compiled, n_rounds),
        "matcher_of_known_grammar": median_ms(kept.deep_copy, n_rounds),
        "mask_first_reply": statistics.fmean(mask_ms(compiled(), tokens)),
        "mask": statistics.fmean(ms for _ in range(10) for ms in mask_ms(kept.deep_copy(), tokens)),
    }


def mask_ms(matcher: "LLMatcher", tokens: Sequence[int]) -> list[float]:
    """How long each mask of a reply takes."""
    times = []
    for token in tokens:
        start = time.perf_counter()
        matcher.compute_bitmask()
        times.append(1000 * (time.perf_counter() - start))
        if not matcher.consume_token(token):
            raise RuntimeError(f"the grammar refused its own reply: {matcher.get_error()}")
    return times


def median_ms(work: Callable[[], object], n_rounds: int) -> float:
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times), 4)
