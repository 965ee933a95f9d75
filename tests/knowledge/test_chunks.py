import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.errors import ConfigError
from npc.knowledge.chunks import MAX_WORDS, MIN_WORDS, passages_in, read_passages


def texts(markdown: str) -> list[str]:
    return [passage.text for passage in passages_in(markdown, "k.md")]


def test_a_passage_carries_its_file_and_the_path_of_its_heading() -> None:
    markdown = "# Prices\nCoins.\n\n## Horseshoes\nThree coppers.\n\n### Pony\nTwo.\n\n# People\nJory.\n"
    assert [(p.file, p.heading, p.text) for p in passages_in(markdown, "knowledge/k.md")] == [
        ("knowledge/k.md", "Prices", "Coins."),
        ("knowledge/k.md", "Prices > Horseshoes", "Three coppers."),
        ("knowledge/k.md", "Prices > Horseshoes > Pony", "Two."),
        ("knowledge/k.md", "People", "Jory."),
    ]


def test_markup_becomes_what_a_person_would_say() -> None:
    markdown = "The **old** _mine_, see [the map](http://x/y), has `six` props\nand an ![iron door](door.png)."
    assert texts(markdown) == ["The old mine, see the map, has six props and an iron door."]


def test_list_items_and_table_rows_are_sentences() -> None:
    markdown = "I sell:\n\n- nails\n- a lock!\n\n| thing | price |\n|---|---|\n| sword | thirty silver |\n"
    assert texts(markdown) == ["I sell: nails. a lock! thing, price. sword, thirty silver."]


def test_items_of_several_paragraphs_and_nested_lists_are_kept_in_order() -> None:
    markdown = "1. one\n\n   more\n   - inner\n2. two\n\n> quoted\n"
    assert texts(markdown) == ["one. more. inner. two. quoted."]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_front_matter_and_comments_are_for_the_writer_alone(newline: str) -> None:
    markdown = "---\nstatus: draft\n---\n# Well\n<!-- ask Ode -->\nForty feet <!-- or fifty? -->deep.\n"
    assert texts(markdown.replace("\n", newline)) == ["Forty feet deep."]


def test_a_line_of_dashes_below_text_is_no_front_matter() -> None:
    assert texts("Nothing before.\n\n---\n\nKept.\n\n---\n\nKept too.\n") == ["Nothing before. Kept. Kept too."]


def test_a_byte_order_mark_does_not_hide_the_heading() -> None:
    [passage] = passages_in("\ufeff# Well\nDeep.\n", "k.md")
    assert (passage.heading, passage.text) == ("Well", "Deep.")


def test_short_paragraphs_join_and_longer_ones_stand_alone() -> None:
    long = " ".join(["word"] * (MIN_WORDS + 5)) + "."
    assert texts(f"One.\n\nTwo.\n\n{long}\n\n{long}\n") == [f"One. Two. {long}", long]


def test_a_long_paragraph_is_cut_between_sentences_into_even_parts() -> None:
    sentences = [f"Sentence {n} has exactly seven words here." for n in range(20)]
    parts = texts(" ".join(sentences))
    assert " ".join(parts) == " ".join(sentences)
    assert all(part.endswith("here.") for part in parts)
    assert [len(part.split()) for part in parts] == [70, 70]


def test_headings_without_text_make_no_passage() -> None:
    assert texts("# A\n\n## B\n\n# C\nText.\n") == ["Text."]


@pytest.mark.parametrize("markdown", ["", "\n\n", "---\na: b\n---\n", "<!-- nothing -->", "# Only a heading"])
def test_nothing_to_say_is_no_passage(markdown: str) -> None:
    assert texts(markdown) == []


words = st.lists(st.sampled_from(["iron", "well.", "Nell", "oak,", "why?", "seven"]), min_size=1, max_size=250)
paragraphs = words.map(" ".join)
items = st.lists(paragraphs, min_size=1, max_size=4).map(lambda texts: "\n".join(f"- {text}" for text in texts))
headings = st.tuples(st.integers(1, 6), st.sampled_from(["Prices", "The well"])).map(lambda h: "#" * h[0] + " " + h[1])


@given(st.lists(st.one_of(paragraphs, items, headings), max_size=12))
def test_no_word_is_lost_or_moved_and_no_passage_is_too_long(blocks: list[str]) -> None:
    spoken = " ".join(block for block in blocks if not block.startswith("#"))
    passages = passages_in("\n\n".join(blocks), "k.md")
    assert _letters(" ".join(passage.text for passage in passages)) == _letters(spoken)
    assert all(0 < len(passage.text.split()) <= MAX_WORDS for passage in passages)


@given(st.text(max_size=400))
def test_any_text_at_all_is_cut_without_an_error(text: str) -> None:
    assert all(p.text == " ".join(p.text.split()) != "" for p in passages_in(text, "k.md"))


def _letters(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_files_are_read_relative_to_the_characters_folder(tmp_path: Path) -> None:
    (tmp_path / "knowledge").mkdir()
    for name in ("b", "a"):
        (tmp_path / "knowledge" / f"{name}.md").write_text(f"# H\n{name}.\n", encoding="utf-8")
    files = [tmp_path / "knowledge" / "b.md", tmp_path / "knowledge" / "a.md"]
    assert [(p.file, p.text) for p in read_passages(files, tmp_path)] == [
        ("knowledge/b.md", "b."),
        ("knowledge/a.md", "a."),
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "k.md").write_bytes(b"caf\xe9")
    for name in ("k.md", "gone.md"):
        with pytest.raises(ConfigError, match=name):
            read_passages([tmp_path / name], tmp_path)
