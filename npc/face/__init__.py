"""Faces from exact phoneme times: visemes with coarticulation, ARKit's blendshapes at 60 Hz, emotion, blinks, gaze."""

from npc.face.face import FRAME_RATE_HZ, Face, FaceTrack
from npc.face.gaze import Glance, glances
from npc.face.visemes import VISEMES, VisemeKey, viseme_keys

__all__ = ["FRAME_RATE_HZ", "VISEMES", "Face", "FaceTrack", "Glance", "VisemeKey", "glances", "viseme_keys"]
