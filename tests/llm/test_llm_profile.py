"""What the profile reports, on the tiny model; its figures mean something on a real one alone."""

import json
from pathlib import Path

import pytest

from npc.config import LanguageModelSettings
from npc.errors import ConfigError
from npc.profile.llm import run_llm_profile
from npc.profile.peer import Peer


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
