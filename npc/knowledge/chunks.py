"""Markdown → passages short enough for a small model to read.

A passage stays under one heading. Its text is what a person would say: no
mark-up, list items and table rows as sentences. Short paragraphs under the same
heading join, long ones are cut between sentences. Front matter and HTML
(comments too) are for the writer's eyes and left out; no other word is lost.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from npc.errors import ConfigError
from npc.turn import Passage

MIN_WORDS = 40
"""Paragraphs below this length take in the next one under the same heading."""
MAX_WORDS = 90
"""No passage is longer. A model of 135M parameters loses the thread of longer ones."""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?…])(?:[\"'”’)]*)\s+")


def passages_in(markdown: str, file: str) -> tuple[Passage, ...]:
    """The passages of one file, in order. `heading` is the path to it: `Prices > Horseshoes`."""
    return tuple(
        Passage(text, file, heading)
        for heading, paragraphs in groupby(_paragraphs(markdown), key=lambda pair: pair[0])
        for text in _pack([text for _, text in paragraphs])
    )


def read_passages(files: Iterable[Path], folder: Path) -> tuple[Passage, ...]:
    """The passages of a character's knowledge files, named relative to its folder.

    Raises ConfigError when one cannot be read.
    """
    passages: list[Passage] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: knowledge cannot be read as UTF-8 text: {error}") from error
        passages += passages_in(text, file.relative_to(folder).as_posix())
    return tuple(passages)


def _paragraphs(markdown: str) -> Iterator[tuple[str, str]]:
    """(heading path, speakable paragraph) in order of appearance."""
    tokens = MarkdownIt("commonmark").enable("table").parse(_FRONT_MATTER.sub("", markdown.removeprefix("\ufeff")))
    path: list[str] = []
    levels: list[int] = []
    cells: list[str] = []
    for i, token in enumerate(tokens):
        match token.type:
            case "inline" if tokens[i - 1].type == "heading_open":
                level = int(tokens[i - 1].tag[1])
                while levels and levels[-1] >= level:
                    levels.pop()
                    path.pop()
                levels.append(level)
                path.append(_speakable(token))
            case "inline" if tokens[i - 1].type in ("th_open", "td_open"):
                cells.append(_speakable(token))
            case "tr_close":
                yield _heading(path), _sentence(", ".join(filter(None, cells)))
                cells = []
            case "inline":
                text = _speakable(token)
                yield _heading(path), _sentence(text) if token.level >= 2 else text
            case "fence" | "code_block":
                yield _heading(path), " ".join(token.content.split())


def _heading(path: Sequence[str]) -> str:
    return " > ".join(filter(None, path))


def _speakable(inline: Token) -> str:
    parts: list[str] = []
    for token in inline.children or ():
        match token.type:
            case "text" | "code_inline" | "image":
                parts.append(token.content)
            case "softbreak" | "hardbreak":
                parts.append(" ")
    return " ".join("".join(parts).split())


def _sentence(text: str) -> str:
    """A list item or table row, ended so that the next one does not run into it."""
    return text if not text or text[-1] in ".!?…:;,\"”'’" else f"{text}."


def _pack(paragraphs: Sequence[str]) -> Iterator[str]:
    """Join short paragraphs, cut long ones; keeps every word and the order."""
    joined: list[str] = []
    for paragraph in filter(None, paragraphs):
        if joined and _n_words(joined[-1]) < MIN_WORDS and _n_words(joined[-1]) + _n_words(paragraph) <= MAX_WORDS:
            joined[-1] += f" {paragraph}"
        else:
            joined.append(paragraph)
    for text in joined:
        yield from _cut(text)


def _cut(text: str) -> Iterator[str]:
    """Parts of about equal length, cut between sentences where there are any."""
    n_words = _n_words(text)
    if n_words <= MAX_WORDS:
        yield text
        return
    target = n_words / -(-n_words // MAX_WORDS)
    part: list[str] = []
    for sentence in _short_sentences(text):
        if part and (len(part) + len(sentence) > MAX_WORDS or len(part) + len(sentence) / 2 > target):
            yield " ".join(part)
            part = []
        part += sentence
    yield " ".join(part)


def _short_sentences(text: str) -> Iterator[list[str]]:
    for sentence in _SENTENCE_END.split(text):
        words = sentence.split()
        for start in range(0, len(words), MAX_WORDS):
            yield words[start : start + MAX_WORDS]


def _n_words(text: str) -> int:
    return len(text.split())
