import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.feeling import Feeling, Rule, Temper, appraise, resting_mix, stir, told

SMITH = Temper(
    mood=5,
    regard=-10,
    rules=(
        Rule(words=("mine", "weights"), mood=-10, regard=-2, note="You cannot bear talk of it."),
        Rule(tones=("praise",), regard=12),
        Rule(action="give", outcome="refused", regard=-5),
    ),
)


def after(*said: str, temper: Temper = SMITH) -> Feeling:
    feeling = Feeling.at_first(temper)
    for text in said:
        feeling = stir(feeling, temper, text, appraise(text)).feeling
    return feeling


def test_one_starts_as_nature_made_one() -> None:
    assert Feeling.at_first(SMITH) == Feeling(5, 0, -10)


def test_kindness_wins_regard_and_insults_lose_it() -> None:
    kind, rude = after("Thank you.", "You're so kind!"), after("You are a liar.", "Shut up!")
    assert kind.regard > -10 > rude.regard
    assert kind.mood > 5 > rude.mood
    assert rude.arousal > 15


def test_a_writers_rule_stands_for_the_plain_one_of_its_tone() -> None:
    assert after("You're so kind!").regard > after("You're so kind!", temper=Temper(mood=5, regard=-10)).regard


def test_the_writers_words_hurt_and_are_told() -> None:
    stirred = stir(Feeling.at_first(SMITH), SMITH, "Tell me of the Mine.", appraise("Tell me of the Mine."))
    assert stirred.feeling.mood < 0
    assert "You cannot bear talk of it." in stirred.notes
    assert stir(Feeling(), SMITH, "Tell me of the mineral.", appraise("")).notes == ()


def test_what_becomes_of_an_action_counts() -> None:
    feeling = Feeling()
    assert feeling.on_result(SMITH, "give", "refused").regard == -5
    assert feeling.on_result(SMITH, "give", "done") == feeling


def test_mood_fades_in_minutes_and_regard_in_days() -> None:
    feeling = Feeling(mood=-75, arousal=80, regard=50)
    minutes = feeling.later(SMITH, 240)
    assert minutes.mood == pytest.approx(-35)
    assert minutes.arousal < 6
    assert minutes.regard == pytest.approx(50, abs=0.1)
    assert feeling.later(SMITH, 14 * 86_400).regard == pytest.approx(20)


def test_the_prompt_changes_by_bands_and_says_nothing_of_the_ordinary() -> None:
    assert told(Feeling(3, 10, 5)) == ()
    assert told(Feeling(0, 0, 30)) == told(Feeling(0, 0, 50)) == ("You like and trust the player.",)
    assert told(Feeling(-40, 50, -70)) == ("You hate the player.", "You are angry and upset now.")


def test_a_mood_shows_on_a_resting_face() -> None:
    assert resting_mix(Feeling()) == {}
    assert set(resting_mix(Feeling(mood=50))) == {"joy"}
    assert set(resting_mix(Feeling(mood=-50, arousal=-10))) == {"sad"}
    assert set(resting_mix(Feeling(mood=-50, arousal=50))) == {"anger"}


def test_a_feeling_is_json_and_opens_and_closes_actions() -> None:
    feeling = Feeling(1, 2, 20)
    assert Feeling(**json.loads(json.dumps(asdict(feeling)))) == feeling
    assert feeling.gauges == {"mood": 1, "arousal": 2, "regard": 20}


moves = st.floats(-100, 100, allow_nan=False)


@given(st.lists(st.tuples(moves, moves, moves, st.floats(0, 1e6)), max_size=30))
def test_no_life_takes_a_feeling_beyond_its_ends(life: list[tuple[float, float, float, float]]) -> None:
    feeling = Feeling()
    for mood, arousal, regard, seconds in life:
        feeling = feeling.moved(mood, arousal, regard).later(SMITH, seconds)
        assert all(-100 <= value <= 100 for value in feeling.gauges.values())


def test_thanks_alone_win_nobody_over() -> None:
    temper = Temper()
    gains = [after(*["Thank you."] * n, temper=temper).regard for n in (1, 200)]
    assert gains[0] == pytest.approx(3)
    assert gains[1] < 100
