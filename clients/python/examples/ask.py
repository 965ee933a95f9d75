"""Ask a character something in writing, do what it wants to do, and save what it says.

python clients/python/examples/ask.py ws://127.0.0.1:8765 smith "Where is the well?" reply.wav
"""

import asyncio
import sys
import wave

from npc.client import connect
from npc.events import ActionEvent, ReplyEnded, WordsEvent
from npc.frames import AudioFrame


async def ask(url: str, character: str, question: str, wav: str) -> None:
    async with connect(url, character=character) as npc:
        print(f"{npc.ready.name} listens")
        await npc.say(question)
        with wave.open(wav, "wb") as file:
            file.setparams((1, 2, npc.ready.rate_hz, 0, "NONE", ""))
            async for event in npc:
                match event:
                    case WordsEvent(text=text):
                        print(text)
                    case AudioFrame(pcm=pcm):
                        file.writeframes(pcm)
                    case ActionEvent(id=action, name=name, args=args):
                        print(f"* {name} {args}")
                        await npc.result(action, "done")  # a game does it first, when playback is at event.sample
                    case ReplyEnded():
                        return
                    case _:
                        pass


if __name__ == "__main__":
    asyncio.run(ask(*sys.argv[1:]))
