"""ARKit's 52 blendshapes: what each viseme and each plain emotion makes of a face.

Poses are coefficients 0 to 1 by ARKit's names, in Apple's order; what a pose
does not name is 0. `X*` stands for both sides.
https://developer.apple.com/documentation/arkit/arfaceanchor/blendshapelocation
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from npc.face.visemes import VISEMES
from npc.feeling.emotions import Mix

BLENDSHAPES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
INDEX = {name: n for n, name in enumerate(BLENDSHAPES)}

Pose = NDArray[np.float32]  # [52]

_VISEME_POSES: Mapping[str, Mapping[str, float]] = {
    "sil": {},
    "PP": {"mouthPress*": 0.35, "mouthRollLower": 0.3, "mouthRollUpper": 0.25, "mouthClose": 0.04, "jawOpen": 0.04},
    "FF": {"mouthRollLower": 0.55, "mouthUpperUp*": 0.2, "jawOpen": 0.06, "mouthStretch*": 0.1},
    "TH": {"jawOpen": 0.16, "tongueOut": 0.35, "mouthLowerDown*": 0.2, "mouthUpperUp*": 0.1},
    "DD": {"jawOpen": 0.14, "mouthLowerDown*": 0.22, "mouthUpperUp*": 0.12, "mouthStretch*": 0.1},
    "kk": {"jawOpen": 0.2, "mouthLowerDown*": 0.15, "mouthUpperUp*": 0.1, "mouthStretch*": 0.08},
    "CH": {"mouthFunnel": 0.5, "mouthPucker": 0.2, "jawOpen": 0.1, "mouthLowerDown*": 0.2, "mouthUpperUp*": 0.2},
    "SS": {"mouthStretch*": 0.3, "mouthSmile*": 0.12, "jawOpen": 0.05, "mouthLowerDown*": 0.25, "mouthUpperUp*": 0.15},
    "nn": {"jawOpen": 0.14, "mouthLowerDown*": 0.18, "mouthUpperUp*": 0.1},
    "RR": {"mouthFunnel": 0.3, "mouthPucker": 0.3, "jawOpen": 0.14, "mouthLowerDown*": 0.1},
    "aa": {"jawOpen": 0.5, "mouthLowerDown*": 0.25, "mouthUpperUp*": 0.15, "mouthStretch*": 0.08},
    "E": {"jawOpen": 0.28, "mouthStretch*": 0.22, "mouthLowerDown*": 0.22, "mouthUpperUp*": 0.15},
    "I": {"jawOpen": 0.16, "mouthStretch*": 0.28, "mouthSmile*": 0.2, "mouthLowerDown*": 0.18},
    "O": {"jawOpen": 0.36, "mouthFunnel": 0.5, "mouthPucker": 0.2, "mouthLowerDown*": 0.1},
    "U": {"jawOpen": 0.18, "mouthFunnel": 0.25, "mouthPucker": 0.65},
}

_EMOTION_POSES: Mapping[str, Mapping[str, float]] = {
    "joy": {"mouthSmile*": 0.6, "cheekSquint*": 0.45, "eyeSquint*": 0.25, "mouthDimple*": 0.15, "browOuterUp*": 0.1},
    "sad": {"browInnerUp": 0.65, "mouthFrown*": 0.5, "mouthShrugLower": 0.25, "eyeLookDown*": 0.2, "eyeBlink*": 0.12},
    "anger": {"browDown*": 0.75, "eyeSquint*": 0.35, "noseSneer*": 0.35, "mouthPress*": 0.3, "mouthFrown*": 0.2},
    "fear": {"browInnerUp": 0.7, "browOuterUp*": 0.3, "eyeWide*": 0.6, "mouthStretch*": 0.4},
    "disgust": {"noseSneer*": 0.7, "mouthUpperUp*": 0.35, "browDown*": 0.35, "mouthFrown*": 0.3, "eyeSquint*": 0.25},
    "surprise": {"browInnerUp": 0.6, "browOuterUp*": 0.7, "eyeWide*": 0.55, "jawOpen": 0.12},
    "interest": {"browInnerUp": 0.2, "browOuterUp*": 0.25, "eyeWide*": 0.12, "mouthSmile*": 0.06},
    "calm": {"mouthSmile*": 0.15, "eyeBlink*": 0.12, "cheekSquint*": 0.05},
}


def _pose(sparse: Mapping[str, float]) -> Pose:
    pose = np.zeros(len(BLENDSHAPES), np.float32)
    for name, value in sparse.items():
        for full in (name.replace("*", "Left"), name.replace("*", "Right")) if "*" in name else (name,):
            pose[INDEX[full]] = value
    return pose


VISEME_POSES = np.stack([_pose(_VISEME_POSES[viseme]) for viseme in VISEMES])  # [15, 52]
_EMOTIONS = {name: _pose(sparse) for name, sparse in _EMOTION_POSES.items()}

MOUTH = np.array([name.startswith(("jaw", "mouth", "tongue")) for name in BLENDSHAPES])  # [52]
"""What speech moves; while it does, emotion shows in the mouth only in part."""


def emotion_pose(mix: Mix, strength: float = 1.0) -> Pose:
    """The face in an emotion, at rest, [52]."""
    pose = np.zeros(len(BLENDSHAPES), np.float32)
    for plain, share in mix.items():
        pose += np.float32(share * strength) * _EMOTIONS[plain]
    return np.clip(pose, 0, 1)
