"""Going, following, turning: where the character is and faces."""

from npc.actions.declare import Action, Place, Someone


class WalkTo(Action):
    """Walk to a place."""

    examples = (
        "walk to the {place}",
        "go over to the {place}",
        "could you go to the {place}?",
        "please head to the {place}",
        "run to the {place}",
        "go and stand by the {place}",
        "go wait at the {place}",
        "get back to the {place}",
        "make your way to the {place}",
        "would you go to the {place} for me?",
    )
    counter_examples = (
        "how far is the {place}?",
        "did you go to the {place} yesterday?",
        "I walked to the {place} this morning",
        "don't go to the {place}",
        "who goes to the {place}?",
        "what do you do at the {place}?",
        "where is the {place}?",
        "what is the {place} like?",
    )
    verbs = (
        "walk to {place}",
        "go to {place}",
        "go over to {place}",
        "walk over to {place}",
        "head to {place}",
        "run to {place}",
        "be at {place}",
        "meet you at {place}",
        "wait at {place}",
        "step over to {place}",
    )

    place: Place


class LeadTo(Action):
    """Lead the player to a place."""

    examples = (
        "take me to the {place}",
        "show me the way to the {place}",
        "lead me to the {place}",
        "can you bring me to the {place}?",
        "guide me to the {place}",
        "walk me to the {place}",
        "I'm lost, take me to the {place}",
        "let's go to the {place}",
        "come with me to the {place}",
    )
    counter_examples = (
        "does this road lead to the {place}?",
        "who took you to the {place}?",
        "how do I get to the {place}?",
        "is it a long way to the {place}?",
        "I found my own way to the {place}",
    )
    verbs = (
        "lead you",
        "take you",
        "show you the way",
        "guide you",
        "bring you",
        "walk you",
    )
    says = (
        "follow me",
        "this way",
        "come with me",
        "come along",
        "after me",
        "right this way",
    )

    place: Place


class Follow(Action):
    """Follow somebody."""

    examples = (
        "follow me",
        "come with me",
        "come along",
        "follow {who}",
        "stay close to me",
        "stay behind {who}",
        "would you come with me?",
        "walk with me",
        "stick with me",
        "join me",
    )
    counter_examples = (
        "somebody followed me here",
        "are you following me?",
        "don't follow me",
        "who came with you?",
        "did {who} follow you?",
        "I don't follow what you say",
    )
    verbs = (
        "follow",
        "come with you",
        "come along",
        "go with you",
        "join you",
        "walk with you",
        "stay close",
        "stick with you",
        "be right behind you",
    )
    says = (
        "lead the way",
        "lead on",
        "after you",
    )

    who: Someone


class ComeTo(Action):
    """Come up to somebody."""

    examples = (
        "come here",
        "come over here",
        "come closer",
        "could you step over here?",
        "come to me",
        "go to {who}",
        "go over to {who}",
        "walk over to {who}",
    )
    counter_examples = (
        "how did you come here?",
        "why did you come to this town?",
        "do you come here often?",
        "when did {who} come here?",
        "don't come any closer",
    )
    verbs = (
        "come over",
        "come here",
        "come to you",
        "come closer",
        "be right there",
        "step closer",
    )

    who: Someone


class Stop(Action):
    """Stop and stay."""

    examples = (
        "stop",
        "stop right there",
        "wait here",
        "stay here",
        "stay where you are",
        "hold on, wait",
        "halt",
        "stop it now",
        "that's enough",
        "stay put",
        "don't move",
        "stop following me",
    )
    counter_examples = (
        "when does the rain stop?",
        "why did you stop?",
        "don't stop",
        "how long did you wait here?",
        "how long will you stay?",
        "is there a stop nearby?",
        "I can't wait",
    )
    verbs = (
        "stop",
        "wait here",
        "stay here",
        "stay put",
        "stand still",
        "hold still",
    )
    favour = False


class LookAt(Action):
    """Look at somebody."""

    examples = (
        "look at me",
        "look at {who}",
        "turn around and face me",
        "look over at {who}",
        "keep your eyes on {who}",
        "watch {who}",
    )
    counter_examples = (
        "what does {who} look like?",
        "you look tired",
        "why are you looking at me?",
        "don't look at {who}",
        "did you see {who}?",
    )
    verbs = (
        "look at",
        "watch",
        "keep an eye on",
        "keep my eyes on",
    )
    favour = False

    who: Someone


class PointTo(Action):
    """Point to a place."""

    examples = (
        "point to the {place}",
        "point me to the {place}",
        "show me where the {place} is",
        "can you point out the {place}?",
        "point me in the direction of the {place}",
        "show me which way the {place} is",
    )
    counter_examples = (
        "what is the point of the {place}?",
        "how old is the {place}?",
        "somebody pointed me to the {place}",
        "is the {place} open?",
    )
    verbs = ("point",)
    says = (
        "over there",
        "that way",
        "see there",
    )
    favour = False

    place: Place
