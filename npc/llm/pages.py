"""Who has which page of the key/value cache, and which prefixes are remembered.

A page holds the keys and values of `page_size` tokens. Pages of finished
text form a tree: a node is one page, its path from the root the text before
it. A sequence locks the path that it reads; what nobody locks is evicted,
least recently used leaves first, when pages run out. A matched prefix is
valid only while it is locked.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Node:
    """One page of remembered text. Only the root has no page."""

    tokens: tuple[int, ...]
    page: int
    parent: "Node | None"
    children: dict[tuple[int, ...], "Node"] = field(default_factory=dict)
    n_locks: int = 0
    last_used: int = 0


@dataclass(slots=True)
class Match:
    """The longest remembered beginning of a text. `nodes` are locked until they are unlocked.

    `partial` holds `n_partial` more tokens of the text in a page whose other
    tokens differ: to be copied before it is written to. It is locked as well.
    """

    nodes: list[Node]
    partial: Node | None = None
    n_partial: int = 0


class Pages:
    def __init__(self, n_pages: int, page_size: int) -> None:
        self.n_pages, self.page_size = n_pages, page_size
        self._free = list(range(n_pages - 1, -1, -1))
        self._root = Node((), -1, None)
        self._clock = itertools.count(1)
        self._n_evictable = 0

    @property
    def n_available(self) -> int:
        """Pages that `take` can give: free ones, and remembered ones that nobody reads."""
        return len(self._free) + self._n_evictable

    @property
    def n_free(self) -> int:
        return len(self._free)

    def match(self, tokens: Sequence[int]) -> Match:
        """The longest beginning of `tokens` that is remembered, locked for the caller."""
        node, nodes, at = self._root, [], 0
        while (child := node.children.get(tuple(tokens[at : at + self.page_size]))) and len(
            child.tokens
        ) == self.page_size:
            nodes.append(child)
            node, at = child, at + self.page_size
        partial, n_partial = None, 0
        for child in node.children.values():
            n_common = _n_common(child.tokens, tokens[at : at + self.page_size])
            if n_common > n_partial:
                partial, n_partial = child, n_common
        for each in [*nodes, *([partial] if partial else [])]:
            self._lock(each)
        return Match(nodes, partial, n_partial)

    def take(self, n: int) -> list[int] | None:
        """`n` pages for the caller alone, evicting what must go; None, and nothing changes, if there are fewer."""
        if n > self.n_available:
            return None
        while len(self._free) < n:
            self._evict()
        return [self._free.pop() for _ in range(n)]

    def give_back(self, pages: Sequence[int]) -> None:
        """Pages that were taken, and hold nothing worth remembering."""
        self._free.extend(reversed(pages))

    def remember(self, parent: Node | None, tokens: Sequence[int], page: int) -> Node:
        """Keep a taken `page` as the continuation of `parent` (None: a text's first page), locked for the caller.

        Where the same text is remembered already, that page is the one that
        stays, and `page` is given back: read the returned node's page.
        """
        above = parent or self._root
        key = tuple(tokens)
        node = above.children.get(key)
        if node is None:
            node = above.children[key] = Node(key, page, above)
            self._n_evictable += 1  # until it is locked, below
        elif node.page != page:
            self.give_back([page])
        self._lock(node)
        return node

    def unlock(self, nodes: Sequence[Node]) -> None:
        now = next(self._clock)
        for node in nodes:
            node.n_locks -= 1
            node.last_used = now
            if node.n_locks == 0:
                self._n_evictable += 1

    def _lock(self, node: Node) -> None:
        if node.n_locks == 0:
            self._n_evictable -= 1
        node.n_locks += 1
        node.last_used = next(self._clock)

    def _evict(self) -> None:
        # A locked node's ancestors are locked too, so among unlocked nodes there is always a leaf.
        leaf = min(self._leaves(), key=lambda node: node.last_used)
        parent = leaf.parent or self._root
        del parent.children[leaf.tokens]
        self._n_evictable -= 1
        self._free.append(leaf.page)

    def _leaves(self) -> list[Node]:
        leaves, stack = [], list(self._root.children.values())
        while stack:
            node = stack.pop()
            stack.extend(node.children.values())
            if not node.children and node.n_locks == 0:
                leaves.append(node)
        return leaves


def _n_common(a: Sequence[int], b: Sequence[int]) -> int:
    n = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        n += 1
    return n
