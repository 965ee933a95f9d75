"""Binary frames: audio with a small header.

offset  size  field
0       1     kind: 1 microphone, 2 reply speech
1       1     flags: bit 0 set on the last frame of a reply
2       2     reserved, 0
4       4     turn (0 for the microphone), unsigned, little-endian
8       8     first sample, unsigned, little-endian
16      …     PCM, 16 bits, little-endian, interleaved
"""

import struct
from dataclasses import dataclass

import numpy as np

from npc.errors import InputError
from npc.turn import Samples

MICROPHONE, REPLY = 1, 2
LAST = 1
HEADER = (
    ("kind", "B", "1 microphone (from the client), 2 reply speech (from the server)"),
    ("flags", "B", "bit 0 is set on the last frame of a reply, which is empty; other bits are 0"),
    ("reserved", "H", "0"),
    ("turn", "I", "the turn that a reply belongs to; 0 for the microphone"),
    ("first_sample", "Q", "how many samples came before this frame's first: of the reply, or of the microphone"),
)
"""The header's fields in order: name, struct format, meaning."""
_HEADER = struct.Struct("<" + "".join(code for _, code, _ in HEADER))
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class AudioFrame:
    kind: int
    turn: int
    first_sample: int
    pcm: bytes
    is_last: bool = False

    def pack(self) -> bytes:
        return _HEADER.pack(self.kind, LAST if self.is_last else 0, 0, self.turn, self.first_sample) + self.pcm

    @classmethod
    def unpack(cls, data: bytes) -> "AudioFrame":
        """Raises InputError (`bad-frame`) when `data` is no audio frame."""
        if len(data) < HEADER_BYTES:
            raise InputError(f"binary frame of {len(data)} bytes; the header alone has {HEADER_BYTES}", "bad-frame")
        kind, flags, reserved, turn, first_sample = _HEADER.unpack_from(data)
        if kind not in (MICROPHONE, REPLY):
            raise InputError(f"binary frame of kind {kind}; known are 1 (microphone) and 2 (reply)", "bad-frame")
        if reserved or flags & ~LAST:
            raise InputError("binary frame with reserved bits set; they must be 0", "bad-frame")
        pcm = data[HEADER_BYTES:]
        if len(pcm) % 2:
            raise InputError(f"{len(pcm)} bytes of PCM; 16-bit samples need an even number", "bad-frame")
        return cls(kind, turn, first_sample, pcm, bool(flags & LAST))


def to_pcm(audio: Samples) -> bytes:
    """float32 [n] in [-1, 1] → 16-bit little-endian bytes; what is louder is clipped."""
    return (np.clip(audio, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def from_pcm(pcm: bytes, channels: int = 1) -> Samples:
    """16-bit little-endian bytes → float32 mono [n]; channels are averaged."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
    return samples if channels == 1 else samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)
