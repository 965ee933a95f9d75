"""Chat templates as transformers renders them, and text that never breaks inside a character."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from npc.errors import ModelError, StageError
from npc.llm.reply import ReplyText
from npc.llm.tokenizer import ChatTokenizer
from npc.turn import ChatMessage

TALK = [
    ChatMessage("system", "You are Brann.\n"),
    ChatMessage("user", "  Who are you? "),
    ChatMessage("assistant", "A smith."),
    ChatMessage("user", "Oh?"),
]


def test_a_prompt_is_what_transformers_makes_of_it(tiny_folder: Path, tiny_tokenizer: ChatTokenizer) -> None:
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tiny_folder / "tokenizer.json"))
    theirs.chat_template = (tiny_folder / "chat_template.jinja").read_text()
    messages = [{"role": message.role, "content": message.content} for message in TALK]
    expected = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert tiny_tokenizer.prompt(TALK) == expected


@pytest.mark.parametrize("n_known", [1, 2, 3])
def test_what_is_read_ahead_is_the_beginning_of_the_later_prompt(tiny_tokenizer: ChatTokenizer, n_known: int) -> None:
    ahead = tiny_tokenizer.stable_prompt(TALK[:n_known])
    assert ahead == tiny_tokenizer.prompt(TALK)[: len(ahead)]
    assert len(ahead) > 10


def test_words_of_a_player_who_still_speaks_are_a_beginning_too(tiny_tokenizer: ChatTokenizer) -> None:
    ahead = tiny_tokenizer.stable_prompt([TALK[0], ChatMessage("user", "Who are")])
    later = tiny_tokenizer.prompt([TALK[0], ChatMessage("user", "Who are you?")])
    assert ahead == later[: len(ahead)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_pieces_join_to_the_text_and_hold_no_half_characters(tiny_tokenizer: ChatTokenizer, text: str) -> None:
    stream = tiny_tokenizer.stream()
    pieces = [stream.push(token) for token in tiny_tokenizer.encode(text)]
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text("ab\né🙂", max_size=30), stop=st.lists(st.text("ab\n🙂", min_size=1, max_size=4), max_size=3))
def test_a_reply_ends_before_its_first_stop_string(tiny_tokenizer: ChatTokenizer, text: str, stop: list[str]) -> None:
    reply = ReplyText(tiny_tokenizer.stream(), stop)
    said = ""
    for token in tiny_tokenizer.encode(text):
        reply.push(token)
        piece = reply.take()
        said += piece.text if piece else ""
        if reply.is_stopped:
            break
        assert not any(each in said for each in stop)
    last = reply.take(is_last=True)
    said += last.text if last else ""
    assert reply.is_stopped == any(each in text for each in stop)
    # Of strings that end at different places, the one that is complete first stops the reply.
    first_end = min((text.index(each) + len(each) for each in stop if each in text), default=len(text))
    seen = text[:first_end]
    assert said == seen[: min((seen.index(each) for each in stop if each in seen), default=len(seen))]


def test_a_template_that_refuses_is_a_stage_error(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text((tiny_folder / "tokenizer.json").read_text())
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(StageError, match="roles must alternate"):
        ChatTokenizer(tmp_path).prompt(TALK)


def test_a_model_that_is_not_for_talking_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text((tiny_folder / "tokenizer.json").read_text())
    with pytest.raises(ModelError, match="no chat template"):
        ChatTokenizer(tmp_path)
