"""What the profile reports, on the tiny model; its figures mean something on a real one alone."""

import json
import shutil
from pathlib import Path

import pytest

from npc.config import LanguageModelSettings
from npc.errors import ConfigError
from npc.llm.tokenizer import ChatTokenizer
from npc.profile.drafting import ROWS, Asked, Drafting
from npc.profile.llm import run_llm_profile
from npc.profile.peer import Peer
from npc.train.phrases import learn
from npc.turn import ChatMessage, Grammar, Sampling


def test_the_profile_reports_every_measure(tiny_folder: Path, tmp_path: Path) -> None:
    settings = LanguageModelSettings(weights="int4", context_tokens=1024, n_threads=1)
    report = run_llm_profile(tiny_folder, tmp_path, None, settings, n_rounds=1, with_transformers=False)
    assert json.loads(json.dumps(report)) == report
    for measure in ("decode", "decode_in_context", "read", "first_token"):
        assert report[measure]["ours"] > 0
    assert report["together"]["eight"] > 0
    assert report["speculation"]["tokens_a_pass"] >= 1


def test_a_peer_that_cannot_start_says_how_to_have_it() -> None:
    with (
        Peer("llama.cpp", "pip install it", "npc.profile.nowhere") as peer,
        pytest.raises(ConfigError, match=r"llama\.cpp did not start; pip install it"),
    ):
        peer.ask(prompt=[1])


def test_drafted_replies_are_measured_beside_plain_ones(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    settings = LanguageModelSettings(weights="int4", context_tokens=1024, n_threads=1)
    with pytest.raises(ConfigError, match="no phrases"):
        Drafting(folder, tmp_path, settings)
    learn([ChatTokenizer(folder).encode("a" * 20)] * 3).write(folder)
    drafting = Drafting(folder, tmp_path, settings)
    sampling = Sampling(temperature=0, max_tokens=16)
    asked = [
        Asked([ChatMessage("user", text)], sampling, Grammar("start: /a[ab]{40}/", "")) for text in ("Who?", "What?")
    ]
    report = drafting.compare(asked, n_rounds=2)
    assert json.loads(json.dumps(report)) == report
    assert report["alike"] == 1
    assert report["n_replies"] == 2
    assert 1 <= report["plain"]["tokens_a_pass"] <= report["phrases"]["tokens_a_pass"]
    assert all(report[way]["ratio"] > 0 for way in ("plain", "lookup", "phrases"))
    costs = drafting.row_costs(1)
    drafting.close()
    assert costs[1] == 1
    assert costs.keys() == set(ROWS)
