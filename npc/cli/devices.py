"""A microphone and a loudspeaker through PortAudio (the extra `audio`)."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from npc.errors import ConfigError
from npc.events import AudioInput
from npc.frames import AudioFrame, from_pcm
from npc.turn import Samples

BLOCK_MS = 20
RATES_HZ = (16000, 48000, 44100, 24000, 8000)


def sounddevice() -> Any:  # the library has no types
    """Raises ConfigError where there is no library or no device."""
    hint = "speak from a file instead: --wav question.wav --out reply.wav"
    try:
        import sounddevice
    except ImportError as error:
        raise ConfigError(f"microphones need the extra 'audio' (pip install 'npc-realtime[audio]'); {hint}") from error
    except OSError as error:
        raise ConfigError(f"PortAudio, which sounddevice needs, is not installed ({error}); {hint}") from error
    try:
        sounddevice.query_devices(kind="input")
        sounddevice.query_devices(kind="output")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise ConfigError(f"there is no microphone or no loudspeaker ({error}); {hint}") from error
    return sounddevice


def input_format(device: Any) -> AudioInput:
    """The first rate that both the microphone and the protocol can do."""
    for rate_hz in RATES_HZ:
        try:
            device.check_input_settings(samplerate=rate_hz, channels=1, dtype="int16")
        except device.PortAudioError:
            continue
        return AudioInput.model_validate({"rate_hz": rate_hz, "channels": 1})
    raise ConfigError(f"the microphone can do none of {', '.join(map(str, RATES_HZ))} Hz")


async def microphone(device: Any, rate_hz: int) -> AsyncIterator[bytes]:
    """16-bit mono PCM, a block of 20 ms at a time, until the caller stops asking."""
    loop = asyncio.get_running_loop()
    blocks: asyncio.Queue[bytes] = asyncio.Queue()

    def heard(data: Any, frames: int, time: Any, status: Any) -> None:
        loop.call_soon_threadsafe(blocks.put_nowait, bytes(data))

    block = rate_hz * BLOCK_MS // 1000
    with device.RawInputStream(samplerate=rate_hz, channels=1, dtype="int16", blocksize=block, callback=heard):
        while True:
            yield await blocks.get()


class Loudspeaker:
    """Plays the reply of one turn at a time. Its callback runs on PortAudio's thread."""

    def __init__(self, device: Any, rate_hz: int) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Samples] = deque()
        self._is_held = False
        self.turn = 0
        self.position = 0
        """Samples of `turn` that were given to the device."""
        self._stream = device.OutputStream(samplerate=rate_hz, channels=1, dtype="float32", callback=self._fill)

    def __enter__(self) -> "Loudspeaker":
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def play(self, frame: AudioFrame) -> None:
        with self._lock:
            if frame.turn != self.turn:
                self.turn, self.position = frame.turn, 0
                self._waiting.clear()
            self._waiting.append(from_pcm(frame.pcm))

    def hold(self, is_held: bool) -> None:
        """Stand still, or play on."""
        self._is_held = is_held

    def stop(self) -> None:
        with self._lock:
            self._waiting.clear()
            self._is_held = False

    def _fill(self, out: Any, frames: int, time: Any, status: Any) -> None:
        out[:] = 0
        filled = 0
        with self._lock:
            while self._waiting and filled < frames and not self._is_held:
                part = self._waiting.popleft()
                n = min(len(part), frames - filled)
                out[filled : filled + n, 0] = part[:n]
                filled += n
                if n < len(part):
                    self._waiting.appendleft(np.asarray(part[n:], np.float32))
            self.position += filled
