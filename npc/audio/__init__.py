"""Audio as samples: files, rates, frames, and the recent past of a microphone.

What comes in is float32 in [-1, 1]. `resample` brings it to 16 kHz, `framer`
cuts it into the frames that voice activity wants, `recording` keeps what an
utterance may need, and `files` reads and writes WAV and FLAC.
"""

from npc.audio.framer import Frame, Framer
from npc.audio.recording import Recording

__all__ = ["Frame", "Framer", "Recording"]
