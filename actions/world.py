"""Things that stand about and can be worked."""

from npc.actions.declare import Action, Thing


class Open(Action):
    """Open a thing."""

    examples = (
        "open the {thing}",
        "could you open the {thing}?",
        "unlock the {thing}",
        "please open up the {thing}",
        "open the {thing} for me",
    )
    counter_examples = (
        "when does the {thing} open?",
        "is the {thing} open?",
        "who opened the {thing}?",
        "don't open the {thing}",
        "I opened the {thing}",
        "what is inside the {thing}?",
    )
    verbs = (
        "open",
        "unlock",
    )
    says = (
        "it's open",
        "it is open now",
    )

    thing: Thing


class Close(Action):
    """Close a thing."""

    examples = (
        "close the {thing}",
        "shut the {thing}",
        "could you close the {thing}?",
        "lock the {thing}",
        "pull the {thing} shut",
        "shut the {thing} behind you",
    )
    counter_examples = (
        "is the {thing} closed?",
        "who closed the {thing}?",
        "why is the {thing} shut?",
        "don't close the {thing}",
        "I closed the {thing}",
    )
    verbs = (
        "close",
        "shut",
        "lock",
    )
    says = (
        "it's shut",
        "it is closed now",
    )

    thing: Thing


class Use(Action):
    """Use a thing."""

    examples = (
        "use the {thing}",
        "turn on the {thing}",
        "switch the {thing} on",
        "try the {thing}",
        "pull the {thing}",
        "press the {thing}",
        "start the {thing}",
    )
    counter_examples = (
        "how do you use the {thing}?",
        "what is the {thing} used for?",
        "I used the {thing}",
        "don't touch the {thing}",
        "who made the {thing}?",
        "does the {thing} work?",
    )
    verbs = (
        "use",
        "turn on",
        "switch on",
        "turn {thing} on",
        "switch {thing} on",
        "start up",
        "try",
    )

    thing: Thing
