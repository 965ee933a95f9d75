"""What a reply waits for besides its models is measured as the engine does it."""

from npc.config import Speaking
from npc.profile.performance import CHOICES, run_performance_profile
from npc.tts.hibari import HibariSynthesiser


def test_every_choice_of_face_is_timed_and_blendshapes_cost_more_than_none() -> None:
    synthesiser = HibariSynthesiser.load(Speaking())
    try:
        report = run_performance_profile(synthesiser, n_rounds=5)
    finally:
        synthesiser.close()
    before_audio = report["before_audio"]
    assert set(before_audio) == set(CHOICES)
    assert 0 < before_audio["none"] < before_audio["both"]
    assert report["scene"]["entities"] == 500
