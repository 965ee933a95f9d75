"""Fighting and keeping others from harm."""

from npc.actions.declare import Action, Place, Someone


class Attack(Action):
    """Attack somebody."""

    examples = (
        "attack {who}",
        "fight {who}",
        "hit {who}",
        "kill {who}",
        "strike {who} down",
        "get {who}!",
    )
    counter_examples = (
        "who attacked you?",
        "did {who} attack the village?",
        "don't hurt {who}",
        "have you ever fought {who}?",
        "is {who} dangerous?",
        "I killed {who}",
        "how would you fight {who}?",
    )
    verbs = (
        "attack",
        "fight",
        "strike",
        "kill",
    )
    favour = False

    who: Someone


class Defend(Action):
    """Protect somebody."""

    examples = (
        "protect me",
        "defend me",
        "guard {who}",
        "protect {who}",
        "keep {who} safe",
        "help me fight",
        "watch my back",
        "cover me",
        "guard me",
    )
    counter_examples = (
        "who defends the village?",
        "are you a guard?",
        "did you protect {who}?",
        "I can defend myself",
        "is it safe here?",
        "why should I protect {who}?",
    )
    verbs = (
        "protect",
        "defend",
        "cover",
        "keep you safe",
        "watch your back",
    )
    favour = False

    who: Someone


class Guard(Action):
    """Guard a place."""

    examples = (
        "guard the {place}",
        "stand guard at the {place}",
        "keep watch at the {place}",
        "keep watch over the {place}",
        "defend the {place}",
        "protect the {place}",
        "stand watch at the {place}",
    )
    counter_examples = (
        "who guards the {place}?",
        "is the {place} guarded?",
        "did you guard the {place}?",
        "are there guards at the {place}?",
        "is the {place} safe?",
    )
    verbs = (
        "guard",
        "stand guard",
        "keep watch",
        "stand watch",
    )
    favour = False

    place: Place


class Flee(Action):
    """Run away."""

    examples = (
        "run",
        "run away",
        "flee",
        "get out of here",
        "run for your life",
        "hide",
        "get to safety",
    )
    counter_examples = (
        "did you run away from home?",
        "why did you run away?",
        "don't run away",
        "who runs this place?",
        "how long have you been here?",
        "where do people hide here?",
    )
    verbs = (
        "run",
        "flee",
        "get out of here",
    )
    favour = False
