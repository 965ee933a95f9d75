"""Text to tokens and back: `tokenizer.json`, the model's chat template, and decoding piece by piece.

The tokenizers library reads the file directly, and jinja2 renders the
template as transformers does: importing transformers would cost seconds.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from npc.errors import ModelError, StageError
from npc.turn import ChatMessage

_HERE = "\u2063\u2063here\u2063\u2063"
"""Stands where the player's words will be, so that a prompt can be cut before them."""


class ChatTokenizer:
    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.exists():
            raise ModelError(f"{path}: not found; save the tokenizer with transformers' save_pretrained")
        try:
            self.library = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ModelError(f"{path}: unreadable ({error})") from error
        self.library.no_padding()
        self.library.no_truncation()
        config = _config(folder)
        self._template = _template(folder, config)
        self._names = {name: _text(config.get(name)) for name in ("bos_token", "eos_token")}

    def prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        """The tokens of `messages` and of the opening of the assistant's next one."""
        return self.encode(self.render(messages, opens_reply=True))

    def stable_prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        """The tokens that a later prompt which begins with `messages` will begin with."""
        if messages and messages[-1].role == "user":  # the player may still be speaking: keep what is said so far
            open_ended = [*messages[:-1], ChatMessage("user", messages[-1].content + _HERE)]
        else:
            open_ended = [*messages, ChatMessage("user", _HERE)]
        return self.encode(self.render(open_ended, opens_reply=False).partition(_HERE)[0])

    def render(self, messages: Sequence[ChatMessage], *, opens_reply: bool) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._template.render(messages=turns, add_generation_prompt=opens_reply, tools=None, **self._names)
        except jinja2.TemplateError as error:
            raise StageError("language model", f"the model's chat template refused the messages: {error}") from error

    def encode(self, text: str) -> list[int]:
        return list(self.library.encode(text, add_special_tokens=False).ids)

    def stream(self) -> "TokenStream":
        return TokenStream(self.library)


class TokenStream:
    """Text of one reply as its tokens arrive; half a UTF-8 character waits for its other half."""

    def __init__(self, library: Tokenizer) -> None:
        self._library = library
        self._stream = DecodeStream(skip_special_tokens=True)

    def push(self, token: int) -> str:
        return self._stream.step(self._library, token) or ""


def _config(folder: Path) -> dict[str, Any]:  # a JSON object
    path = folder / "tokenizer_config.json"
    if not path.exists():
        return {}
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config


def _template(folder: Path, config: dict[str, Any]) -> jinja2.Template:
    """Compiled as transformers compiles it, so that every published template means what its author meant."""
    beside = folder / "chat_template.jinja"
    source = beside.read_text(encoding="utf-8") if beside.exists() else config.get("chat_template")
    if isinstance(source, list):  # several named ones
        source = next((each["template"] for each in source if each["name"] == "default"), None)
    if not source:
        raise ModelError(f"{folder}: no chat template; an instruct model has one in chat_template.jinja")
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment.from_string(source)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _text(token: str | dict[str, Any] | None) -> str:
    return token["content"] if isinstance(token, dict) else token or ""
