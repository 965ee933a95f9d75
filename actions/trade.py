"""Things that change hands."""

from typing import Annotated

from pydantic import Field

from npc.actions.declare import Action, Someone, Thing


class Give(Action):
    """Hand over a thing to somebody."""

    examples = (
        "give me the {item}",
        "hand me the {item}",
        "could you give me the {item}?",
        "bring me the {item}, please",
        "let me have the {item}",
        "pass me the {item}",
        "lend me the {item}",
        "can I have the {item}?",
        "throw me the {item}",
        "give the {item} to {to}",
        "hand {to} the {item}",
        "bring {to} the {item}",
    )
    counter_examples = (
        "who gave you the {item}?",
        "I gave you the {item} already",
        "how much is the {item}?",
        "don't give {to} the {item}",
        "what is the {item} made of?",
        "thank you for the {item}",
        "did you give {to} the {item}?",
    )
    verbs = (
        "give",
        "hand",
        "pass",
        "bring",
        "fetch",
        "lend",
        "get you",
        "pour you",
        "let you have",
    )
    says = (
        "here you are",
        "here you go",
        "take it",
        "it is yours",
        "it's yours",
        "here it is",
        "catch",
    )

    item: Thing
    to: Someone


class PickUp(Action):
    """Pick up a thing."""

    examples = (
        "pick up the {item}",
        "take the {item}",
        "grab the {item}",
        "could you pick the {item} up?",
        "get the {item}",
        "lift the {item}",
        "collect the {item}",
        "take the {item} with you",
    )
    counter_examples = (
        "who took the {item}?",
        "where did you get the {item}?",
        "don't take the {item}",
        "is the {item} heavy?",
        "I picked up the {item} in the market",
        "whose {item} is that?",
    )
    verbs = (
        "pick up",
        "pick {item} up",
        "take",
        "grab",
        "lift",
        "collect",
        "get",
    )

    item: Thing


class PutDown(Action):
    """Put down a thing."""

    examples = (
        "put down the {item}",
        "put the {item} down",
        "drop the {item}",
        "lay the {item} down",
        "drop the {item} now",
        "let go of the {item}",
        "could you set the {item} down?",
    )
    counter_examples = (
        "who dropped the {item}?",
        "I dropped the {item}",
        "don't drop the {item}",
        "where did you put the {item}?",
        "why are you holding the {item}?",
    )
    verbs = (
        "put down",
        "put {item} down",
        "set down",
        "set {item} down",
        "lay down",
        "lay {item} down",
        "drop",
        "let go of",
    )

    item: Thing


class Show(Action):
    """Hold up a thing to be seen."""

    examples = (
        "show me the {item}",
        "can I see the {item}?",
        "let me see the {item}",
        "let me have a look at the {item}",
        "may I look at the {item}?",
        "hold up the {item}",
        "could you show me the {item}?",
    )
    counter_examples = (
        "have you seen the {item}?",
        "I saw the {item}",
        "what does the {item} look like?",
        "tell me about the {item}",
        "did you show {item} to the king?",
    )
    verbs = (
        "show you",
        "hold up",
        "let you see",
    )
    says = (
        "look here",
        "have a look",
        "see here",
    )

    item: Thing


class Sell(Action):
    """Sell a thing for coins."""

    examples = (
        "sell me the {item}",
        "I want to buy the {item}",
        "I'd like to buy the {item}",
        "I'll buy the {item}",
        "can I buy the {item}?",
        "I'll take the {item} for ten coins",
        "would you sell me the {item}?",
        "I'd like to order the {item}",
    )
    counter_examples = (
        "who bought the {item}?",
        "I bought the {item} elsewhere",
        "I don't want to buy the {item}",
        "why is the {item} so expensive?",
        "do many people buy the {item}?",
        "did you sell the {item}?",
    )
    verbs = (
        "sell",
        "let it go for",
        "let you have it for",
    )
    says = (
        "sold",
        "it's a deal",
        "deal",
        "that's a sale",
    )

    item: Thing
    price: Annotated[int, Field(ge=1, le=10_000)]
