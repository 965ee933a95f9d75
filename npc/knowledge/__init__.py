"""What a character knows, and how it is found.

Markdown is cut into short passages (`chunks`), embedded (`embedder`) once and
kept on disk (`store`); a question is answered by the passages that are near it
in meaning or share its words (`lexical`, `retriever`). The names here load on
first use, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from npc.knowledge.chunks import passages_in, read_passages
    from npc.knowledge.embedder import Embedder
    from npc.knowledge.retriever import KnowledgeIndex
    from npc.knowledge.store import VectorStore

__all__ = ["Embedder", "KnowledgeIndex", "VectorStore", "passages_in", "read_passages"]

_HOMES = {
    "Embedder": "npc.knowledge.embedder",
    "KnowledgeIndex": "npc.knowledge.retriever",
    "VectorStore": "npc.knowledge.store",
    "passages_in": "npc.knowledge.chunks",
    "read_passages": "npc.knowledge.chunks",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
