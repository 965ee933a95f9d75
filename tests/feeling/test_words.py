import pytest

from npc.feeling import appraise


@pytest.mark.parametrize(
    ("text", "tone"),
    [
        ("Thank you, that helps.", "thanks"),
        ("You're so kind!", "praise"),
        ("That was good work.", "praise"),
        ("I like your place.", "praise"),
        ("Could I have the axe, please?", "polite"),
        ("I'm really sorry about yesterday.", "apology"),
        ("You are a liar.", "insult"),
        ("You stupid old fool!", "insult"),
        ("What an idiot.", "insult"),
        ("Your soup is garbage.", "insult"),
        ("Shut up.", "insult"),
        ("I'll kill you.", "threat"),
        ("Open it or else.", "threat"),
        ("Give me your money!", "threat"),
        ("Go away.", "rejection"),
        ("I don't care.", "rejection"),
        ("Hello, smith.", "greeting"),
        ("Goodbye for now.", "farewell"),
        ("I miss my brother.", "sadness"),
        ("You're not kind.", "insult"),
        ("GIVE ME THE SWORD NOW!!", "shouting"),
    ],
)
def test_a_tone_is_heard(text: str, tone: str) -> None:
    assert tone in appraise(text).tones


@pytest.mark.parametrize(
    "text",
    [
        "How much is a knife?",
        "Where is the well?",
        "You are not a fool.",
        "Is the old man at home?",
        "Tell me about the liar's bench.",
        "I killed a wolf on the road.",
        "What do you think of this?",
        "",
    ],
)
def test_plain_talk_has_no_ill_tone(text: str) -> None:
    appraisal = appraise(text)
    assert appraisal.tones.isdisjoint({"insult", "threat", "rejection", "praise", "shouting"})
    assert appraisal.valence >= -0.3


def test_a_threat_that_says_please_is_a_threat() -> None:
    assert appraise("Please leave, or I'll hurt you.").valence < -0.5


def test_how_it_is_said_counts_beside_what_is_said() -> None:
    assert "shouting" in appraise("Where is the well?", 0.8).tones
    assert "whispering" in appraise("Where is the well?", -0.8).tones
    assert appraise("You liar.", -0.9).arousal > 0, "an insult stirs however quietly"
    assert appraise("Hello!", 0.3).arousal == 0.3


def test_a_very_long_text_costs_no_more_than_its_beginning() -> None:
    assert appraise("nice weather " * 100_000).tones == frozenset()
