"""What the words alone tell of whether somebody has finished: "I'd like to buy" has not, "How much is it?" has.

Pure. A transcript shows signs (how it ends, how it begins, what it answers), and each
sign has a weight. Whisper's own judgement is among them: it closes what sounds whole
with a full stop and leaves what breaks off with dots, a dash or nothing. The words are
English; of another language only the punctuation speaks.
"""

import re
from collections.abc import Iterator
from typing import Final

LOG_ODDS: Final = {
    "nothing heard": -0.2,
    "breaks off": -2.0,
    "no full stop": -0.3,
    "word that leads on": -2.5,
    "quantifier": -1.4,
    "verb that wants an object": -2.2,
    "filler": -1.0,
    "only the condition": -2.4,
    "asks for a yes or no": -0.6,
    "asks what": 1.2,
    "tells to do": 0.6,
    "several sentences": 1.3,
    "whole by itself": 2.6,
    "answer": 1.7,
    "fragment": -1.2,
}
"""What each sign adds to the log odds that the turn is complete: a logistic regression over the pauses of `material`,
rounded. Its fillers and commands are too few: these weights are guesses."""

START: Final = -2.1
PER_WORD: Final = 0.55
MAX_WORDS: Final = 8
"""A longer sentence is likelier to be whole, up to here."""


def completeness(transcript: str, asked: str = "") -> float:
    """Log odds that somebody who said `transcript` has finished, after the character said `asked`.

    0 is even odds; -2.7 for "I would like to", 1.3 for "How much is it?", 3.5 for "How much is the sword by the door?".
    """
    sentences = _sentences(transcript)
    n_words = len(sentences[-1]) if sentences else 0
    return START + PER_WORD * min(n_words, MAX_WORDS) + sum(LOG_ODDS[sign] for sign in signs(transcript, asked))


def signs(transcript: str, asked: str = "") -> Iterator[str]:
    """The keys of `LOG_ODDS` that `transcript` shows."""
    text = transcript.strip()
    sentences = _sentences(text)
    if not sentences:
        yield "nothing heard"
        return
    sentence = sentences[-1]
    first, last = sentence[0], sentence[-1]
    if text.endswith(("...", "…", "-", "–", "—", ",")):
        yield "breaks off"
    elif text[-1].isalnum():
        yield "no full stop"
    if len(sentences) > 1:
        yield "several sentences"
    # "Where do you come from?", "What did you want?": the object stands in front.
    is_satisfied = first in _QUESTION_WORDS and len(sentence) > 2
    # "Tell me how deep it is", "I know where the inn was": the question within is whole.
    is_embedded = last in _BEING and any(word in _QUESTION_WORDS for word in sentence[1:-2])
    if last == "me" and sentence[-2:-1] and sentence[-2] in _GIVING_VERBS:  # "Can you tell me": what?
        last = sentence[-2]
    leads_on = [
        sign
        for sign, words in _LAST_WORDS.items()
        if last in words and not is_embedded and not (is_satisfied and last in _SATISFIABLE)
    ]
    if len(sentence) == 3 and first in _QUESTION_WORDS and sentence[1] in _HELPING and sentence[2] in _SUBJECTS:
        leads_on = ["verb that wants an object"]  # "What would you": do?
    yield from leads_on
    if _is_only_condition(sentence):
        yield "only the condition"
    elif not leads_on and len(sentence) > 2 and first in _QUESTION_WORDS:
        yield "asks what"
    elif not leads_on and len(sentence) > 2 and first in _AUXILIARIES:
        yield "asks for a yes or no"
    elif not leads_on and len(sentence) > 2 and sentence[sentence[0] == "please"] in _COMMANDS:
        yield "tells to do"
    last_clause = " ".join(_words(re.split(r"[,;:]", text.rstrip(",;: "))[-1]))
    if " ".join(sentence) in _WHOLE or last_clause in _WHOLE:
        yield "whole by itself"
    elif asked.rstrip().endswith("?"):
        if not leads_on:
            yield "answer"
    elif len(sentences) == 1 and len(sentence) <= 2:
        yield "fragment"


def _is_only_condition(sentence: tuple[str, ...]) -> bool:
    """ "When I was in the tower": what happened then is still to come."""
    if sentence[0] not in _SUBORDINATORS or len(sentence) == 1 or sentence[1] in _AUXILIARIES:
        return False
    return not any(word in _SUBJECTS or word in _AUXILIARIES for word in sentence[_CONDITION_WORDS:])


def _sentences(text: str) -> list[tuple[str, ...]]:
    return [words for words in map(_words, re.split(r"(?<=[.?!])\s+", text)) if words]


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower().replace("’", "'")))


_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_CONDITION_WORDS = 4
"""By here a condition has its own subject and verb; another subject behind that begins the main clause."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_AUXILIARIES = _set(
    "is are was were am be been have has had do does did will would shall should can could may might must isn't aren't "
    "don't doesn't didn't haven't can't won't couldn't wouldn't shouldn't"
)
_HELPING = _set("do does did will would shall should can could may might must")
_BEING = _set("is are was were am")
_SUBJECTS = _set("i you he she it we they there i'm i'll i'd i've you'll he's she's it's we'll they'll")
_SUBORDINATORS = _set("if when because while once since although though unless after before until as")
_QUESTION_WORDS = _set("what where when who whom whose why which how what's where's who's how's")
_PREPOSITIONS = _set(
    "of to at for from with about into between through by against without toward towards until during beside than"
)
_HUNGRY_VERBS = _set(
    "want wants need needs buy sell give bring take get find make see seen saw tell show like think say said hear "
    "heard sells wear wearing looking wondering owe owes mean meant ask bought found send put keep hold use wish "
    "teach leave believe guess"
)
_COMMANDS = _set(
    "give bring take get find show tell teach go walk run come follow lead wait stay stop open close shut put drop "
    "pick turn look help sell make mend leave let's meet hold keep sit stand speak"
)
_GIVING_VERBS = _set("tell show give bring teach owe owes sell")
_LAST_WORDS = {
    "word that leads on": _PREPOSITIONS
    | _AUXILIARIES
    | _set("a an the my your our their its every very quite whose too and or but because if when while that who whom")
    | _set("whether unless although though as where why how what instead being going let's i he she we they there's")
    | _set(
        "i'm i've i'd i'll you're you've you'll he's she's it's we're we've we'll they're they've that's what's who's"
    ),
    "quantifier": _set("some any this these those another his her each which more most really no"),
    "verb that wants an object": _HUNGRY_VERBS,
    "filler": _set("um uh er erm hmm well like actually basically anyway"),
}
_SATISFIABLE = _PREPOSITIONS | _HUNGRY_VERBS | _AUXILIARIES
_WHOLE = _set(
    "yes no yeah yep nope sure okay ok thanks hello hi hey goodbye bye stop wait please sorry never maybe perhaps "
    "exactly right indeed always nothing help what why who where how"
) | {
    *("thank you", "no thank you", "no thanks", "of course", "not yet", "never mind", "me too", "not really"),
    *("good morning", "good evening", "good day", "good night", "excuse me", "that's all", "see you"),
    *("follow me", "wait here", "come here", "come on", "go on", "i see", "i do", "i don't", "i know", "i don't know"),
    *("i think so", "i don't think so", "i hope so"),
}
