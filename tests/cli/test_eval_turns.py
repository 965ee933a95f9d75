"""`npc eval turns` sets judged waits beside fixed ones."""

import numpy as np

from npc.cli.eval_turns import EAGERNESS, FIXED_MS, curve
from npc.turntaking import Evidence
from npc.turntaking.material import Pause, Script, SpokenTurn
from npc.turntaking.rehearsal import Heard

FRAME = 512


def heard(first: str, pause_frames: int) -> Heard:
    probabilities = [0.9] * 31 + [0.02] * pause_frames + [0.9] * 31 + [0.02] * 70
    pause_at, end = 31 * FRAME, (62 + pause_frames) * FRAME
    turn = SpokenTurn(
        "scripted",
        Script("", (first, "."), ("mid-clause",)),
        np.zeros(len(probabilities) * FRAME, np.float32),
        end - 768,
        (Pause(pause_at, pause_at + pause_frames * FRAME, "mid-clause"),),
    )
    last = Evidence("How much is the long sword by the door?")
    return Heard(turn, tuple(probabilities), {pause_at - 768: Evidence(first), end - 768: last})


def test_every_setting_is_a_point_and_fixed_waits_cut_off_what_judged_ones_let_finish() -> None:
    points = {point.wait: point for point in curve([heard("I would like to buy", 20), heard("I would like to", 25)])}
    assert len(points) == len(EAGERNESS) + len(FIXED_MS)
    judged, fixed = points["eagerness 0.5"], points["300 ms"]
    assert judged.cut_off == 0
    assert fixed.cut_off == 100
    assert judged.p50_ms < points["1000 ms"].p50_ms
    assert judged.n_pauses_per_turn == 2
