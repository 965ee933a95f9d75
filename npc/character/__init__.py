"""Characters: their folder becomes a `Character`, and with the scene and the talk so far a prompt."""

from npc.character.character import Character, Example
from npc.character.load import Characters, load_character, load_characters
from npc.character.mistakes import check_character

__all__ = ["Character", "Characters", "Example", "check_character", "load_character", "load_characters"]
