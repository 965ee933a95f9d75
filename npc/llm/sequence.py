"""One prompt and the reply to it, on the way through the engine."""

from collections.abc import Callable
from dataclasses import dataclass, field

from npc.errors import NpcError
from npc.llm.grammar import GrammarGuide
from npc.llm.pages import Node
from npc.llm.reply import ReplyText
from npc.llm.sampler import Sampler
from npc.llm.speculate import Drafts, Payoff
from npc.turn import GenerationEnd, TextPiece

Output = TextPiece | GenerationEnd | NpcError


@dataclass(slots=True, eq=False)
class Sequence:
    tokens: list[int]
    """The prompt, then what was written."""
    n_prompt: int
    max_tokens: int
    """0: only read the prompt into the cache."""
    emit: Callable[[Output], None]
    sampler: Sampler
    text: ReplyText
    guide: GrammarGuide | None = None
    lookup: Drafts | None = None
    payoff: Payoff | None = None
    """Where a draft model may help."""

    # The cache: `pages` in the order of the text, of which the first len(nodes) are remembered and locked
    pages: list[int] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    n_cached: int = 0
    n_matched: int = 0
    """Tokens whose keys and values were there already."""
    n_drafter_cached: int = 0
    """Tokens that the draft model has read."""

    is_cancelled: bool = False
    arrived_s: float = 0.0
    first_token_s: float = 0.0
    n_steps: int = 0
    n_drafted: int = 0
    n_accepted: int = 0

    @property
    def n_written(self) -> int:
        return len(self.tokens) - self.n_prompt

    @property
    def n_to_feed(self) -> int:
        return len(self.tokens) - self.n_cached

    @property
    def only_reads(self) -> bool:
        return self.max_tokens == 0
