"""The scene as the game reports it: what is there to be spoken of and acted upon, what changed, what is noticed."""

from npc.world.delta import SceneDelta, apply_delta
from npc.world.scene import Being, Entity, Scene
from npc.world.surroundings import Surroundings, perceived
from npc.world.telling import tell_now

__all__ = ["Being", "Entity", "Scene", "SceneDelta", "Surroundings", "apply_delta", "perceived", "tell_now"]
