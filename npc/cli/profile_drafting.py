"""The part of `npc profile llm` that writes replies of characters, plain and drafted in turn."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from npc.config import Settings
    from npc.models import ModelStore

EACH = 15
"""Every so many cases of `npc eval run` are written."""
SETS = {"held_out": "characters never trained on", "shipped": "characters that ship"}


def measure_drafting(store: "ModelStore", settings: "Settings", n_rounds: int) -> dict[str, Any]:  # JSON
    """By set of prompts: tokens/s plain, with look-up alone, with phrases; and what a row costs. Raises NpcError."""
    from npc.character.load import shipped_characters
    from npc.cli.evaluate import cast_of, material
    from npc.config import LanguageModelSettings
    from npc.evaluate.cases import Case
    from npc.knowledge import Embedder, VectorStore
    from npc.profile.drafting import Drafting, gather
    from npc.profile.material import spoken_questions

    name, own = LanguageModelSettings().model, settings.knowledge.model
    embedder = Embedder.load(store.ensure(own))
    try:
        vectors = VectorStore(store.derived(own, "passages"), embedder)
        cases, held_out = material(None, None)
        asked = [
            Case(id=question.file.stem, character=question.character, utterance=question.words)
            for question in spoken_questions()
        ]
        shipped = cast_of(shipped_characters())
        sets = {
            "held_out": gather(cases[::EACH], list(held_out.values()), embedder, vectors),
            "shipped": gather(asked, list(shipped.values()), embedder, vectors),
        }
    finally:
        embedder.close()
    drafting = Drafting(store.ensure(name), store.derived(name, "llm"), settings.llm)
    try:
        report: dict[str, Any] = {key: drafting.compare(each, n_rounds) for key, each in sets.items()}
        return report | {"row_costs": drafting.row_costs(n_rounds)}
    finally:
        drafting.close()


def add_rows(table: "Table", report: dict[str, Any]) -> None:  # JSON
    for key, label in SETS.items():
        plain, lookup, phrases = (report[key][way] for way in ("plain", "lookup", "phrases"))
        table.add_row(f"{label}, plain, tokens/s", f"{plain['tokens_per_s']:.1f}", "", "", "", "")
        for name, row in (("drafted from the prompt", lookup), ("and from phrases", phrases)):
            label = f"  {name} ({row['tokens_a_pass']:.2f} tokens a pass, {100 * row['accepted']:.0f} % accepted)"
            table.add_row(label, f"{row['tokens_per_s']:.1f}", "", "", f"{row['ratio']:.2f}", "≥ 1.7 × plain")
    costs = ", ".join(f"{n}: {cost:.2f}" for n, cost in report["row_costs"].items())
    table.add_row(f"time of a step by its rows ({costs})", "", "", "", "", "")
