"""The accounts of the cache: every page is free, taken or remembered, and what is locked stays."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from npc.llm.pages import Match, Node, Pages

SIZE = 4


def read(pages: Pages, tokens: list[int]) -> list[Node]:
    """Remember `tokens` whole, as a finished sequence does; its path, locked."""
    match = pages.match(tokens)
    nodes = match.nodes
    if match.partial is not None:
        pages.unlock([match.partial])
    for start in range(len(nodes) * SIZE, len(tokens), SIZE):
        taken = pages.take(1)
        assert taken is not None
        nodes.append(pages.remember(nodes[-1] if nodes else None, tokens[start : start + SIZE], taken[0]))
    return nodes


def n_matched(pages: Pages, tokens: list[int]) -> int:
    match = pages.match(tokens)
    pages.unlock([*match.nodes, *([match.partial] if match.partial else [])])
    return len(match.nodes) * SIZE + match.n_partial


def test_a_text_is_remembered_to_the_token() -> None:
    pages = Pages(8, SIZE)
    pages.unlock(read(pages, [1, 2, 3, 4, 5, 6, 7]))
    assert n_matched(pages, [1, 2, 3, 4, 5, 6, 7, 8]) == 7
    assert n_matched(pages, [1, 2, 3, 4, 5, 9]) == 5
    assert n_matched(pages, [1, 2, 9]) == 2
    assert n_matched(pages, [9]) == 0


def test_the_same_text_takes_one_page() -> None:
    pages = Pages(4, SIZE)
    first, second = pages.take(1), pages.take(1)
    assert first is not None
    assert second is not None
    one = pages.remember(None, [1, 2, 3, 4], first[0])
    other = pages.remember(None, [1, 2, 3, 4], second[0])
    assert one is other
    assert pages.n_free == 3


def test_the_least_recently_used_text_goes_first() -> None:
    pages = Pages(2, SIZE)
    pages.unlock(read(pages, [1, 1, 1, 1]))
    pages.unlock(read(pages, [2, 2, 2, 2]))
    assert n_matched(pages, [1, 1, 1, 1]) == 4  # and so used again
    assert pages.take(1) is not None
    assert n_matched(pages, [1, 1, 1, 1]) == 4
    assert n_matched(pages, [2, 2, 2, 2]) == 0


def test_a_locked_text_is_not_evicted() -> None:
    pages = Pages(2, SIZE)
    nodes = read(pages, [1] * 8)
    assert pages.take(1) is None
    pages.unlock(nodes)
    assert pages.take(1) is not None
    assert n_matched(pages, [1] * 8) == 4, "the end of a text goes before its beginning"


@dataclass
class Holder:
    nodes: list[Node]
    taken: list[int]
    partial: Node | None


class PageAccounts(RuleBasedStateMachine):
    """Sequences come, read, write and go in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = Pages(12, SIZE)
        self.holders: list[Holder] = []
        self.contents: dict[int, tuple[int, ...]] = {}

    @rule(tokens=st.lists(st.integers(0, 1), min_size=1, max_size=20), n_more=st.integers(0, 4))
    def arrive(self, tokens: list[int], n_more: int) -> None:
        match: Match = self.pages.match(tokens)
        n_available = self.pages.n_available
        taken = self.pages.take(n_more)
        assert (taken is None) == (n_more > n_available)
        path: list[int] = []
        for node in match.nodes:
            path += node.tokens
            assert self.contents[node.page] == node.tokens
        assert path == tokens[: len(path)]
        if match.partial is not None:
            assert list(match.partial.tokens[: match.n_partial]) == tokens[len(path) : len(path) + match.n_partial]
        self.holders.append(Holder(match.nodes, taken or [], match.partial))

    @precondition(lambda self: any(holder.taken for holder in self.holders))
    @rule(data=st.data(), tokens=st.lists(st.integers(0, 1), min_size=SIZE, max_size=SIZE))
    def fill_a_page(self, data: st.DataObject, tokens: list[int]) -> None:
        holder = data.draw(st.sampled_from([each for each in self.holders if each.taken]))
        page = holder.taken.pop(0)
        self.contents[page] = tuple(tokens)
        holder.nodes.append(self.pages.remember(holder.nodes[-1] if holder.nodes else None, tokens, page))

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        holder = self.holders.pop(data.draw(st.integers(0, len(self.holders) - 1)))
        self.pages.give_back(holder.taken)
        self.pages.unlock([*holder.nodes, *([holder.partial] if holder.partial else [])])

    @invariant()
    def every_page_is_in_one_place(self) -> None:
        free = list(self.pages._free)
        remembered, evictable = [], 0
        stack = list(self.pages._root.children.values())
        while stack:
            node = stack.pop()
            remembered.append(node.page)
            evictable += node.n_locks == 0
            assert node.n_locks >= 0
            assert node.parent is not None
            assert node.n_locks == 0 or node.parent is self.pages._root or node.parent.n_locks > 0
            stack.extend(node.children.values())
        taken = [page for holder in self.holders for page in holder.taken]
        assert sorted(free + remembered + taken) == list(range(12))
        assert self.pages.n_available == len(free) + evictable

    @invariant()
    def what_is_locked_is_still_there(self) -> None:
        for holder in self.holders:
            for node in holder.nodes:
                assert node.parent is not None
                assert node.parent.children[node.tokens] is node


TestPageAccounts = PageAccounts.TestCase
TestPageAccounts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
