"""Characters: their folder becomes a `Character`, and with the scene and the talk so far a prompt."""

from npc.character.character import Character, Example
from npc.character.load import Characters, load_character, load_characters
from npc.character.mistakes import check_character
from npc.character.prompt import build_prompt, clean, history_messages, stable_messages, tell_outcome

__all__ = [
    "Character",
    "Characters",
    "Example",
    "build_prompt",
    "check_character",
    "clean",
    "history_messages",
    "load_character",
    "load_characters",
    "stable_messages",
    "tell_outcome",
]
