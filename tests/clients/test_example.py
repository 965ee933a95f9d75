import runpy
import wave
from pathlib import Path

from scripted_engine import RATE_HZ, ScriptedEngine

from npc.config import Server
from npc.events import ActionResult
from npc.server import NpcServer

CLIENTS = Path(__file__).parents[2] / "clients"


async def test_the_example_prints_the_reply_does_the_action_and_saves_the_speech(tmp_path, capsys):
    ask = runpy.run_path(str(CLIENTS / "python/examples/ask.py"))["ask"]
    engine = ScriptedEngine()
    async with NpcServer(engine, Server(port=0)) as server:
        await ask(server.url, "mira", "walk", str(tmp_path / "reply.wav"))
        await engine.sessions[0].has_ended.wait()
    assert capsys.readouterr().out.splitlines() == ["Mira listens", "You said: walk", "* walk_to {'place': 'well'}"]
    assert ActionResult(action="a1", outcome="done") in engine.sessions[0].received
    with wave.open(str(tmp_path / "reply.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (RATE_HZ, 3 * 1440)


async def test_the_readme_example_runs(capsys, monkeypatch):
    readme = (CLIENTS / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python\n")[1].split("```")[0].replace("asyncio.run(main())", "")
    async with NpcServer(ScriptedEngine("smith"), Server(port=0)) as server:
        program: dict = {}
        exec(code.replace("ws://127.0.0.1:8765", server.url), program)
        await program["main"]()
    assert capsys.readouterr().out == "You said: Where is the well? []\n"
