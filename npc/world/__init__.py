"""The scene as the game reports it: what is there to be spoken of and acted upon."""

from npc.world.scene import Entity, Scene

__all__ = ["Entity", "Scene"]
