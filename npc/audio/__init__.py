"""Audio as samples: files, rates, frames, and the recent past of a microphone.

What comes in is float32 in [-1, 1]. `resample` brings it to 16 kHz, `framer`
cuts it into the frames that voice activity wants, `echo` takes the character's own
voice out of them, `recording` keeps what an utterance may need, and `files` reads and
writes WAV and FLAC.
"""

from npc.audio.echo import Cleaned, EchoGuard
from npc.audio.framer import FRAME_SAMPLES, Frame, Framer
from npc.audio.recording import Recording
from npc.audio.resample import StreamResampler, resample

__all__ = ["FRAME_SAMPLES", "Cleaned", "EchoGuard", "Frame", "Framer", "Recording", "StreamResampler", "resample"]
