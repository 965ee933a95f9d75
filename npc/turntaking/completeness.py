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
    "nothing heard": -0.6,
    "breaks off": -3.0,
    "no full stop": -0.2,
    "question mark": 1.0,
    "determiner": -1.8,
    "quantifier": -1.8,
    "preposition": -1.5,
    "conjunction": -1.5,
    "auxiliary": -1.5,
    "subject": -1.5,
    "verb that wants an object": -2.0,
    "filler": -1.5,
    "only the condition": -1.5,
    "whole by itself": 1.7,
    "answer": 1.0,
    "fragment": -1.3,
}
"""What each sign adds to the log odds that the turn is complete."""

START: Final = -0.6
PER_WORD: Final = 0.3
MAX_WORDS: Final = 8
"""A longer utterance is likelier to be whole, up to here."""


def completeness(transcript: str, asked: str = "") -> float:
    """Log odds that somebody who said `transcript` has finished, after the character said `asked`.

    0 is even odds; about -5 for "I would like to", +3 for "How much does it cost?".
    """
    return (
        START
        + PER_WORD * min(len(_words(transcript)), MAX_WORDS)
        + sum(LOG_ODDS[sign] for sign in signs(transcript, asked))
    )


def signs(transcript: str, asked: str = "") -> Iterator[str]:
    """The keys of `LOG_ODDS` that `transcript` shows."""
    text = transcript.strip()
    sentences = [words for words in map(_words, re.split(r"(?<=[.?!])\s+", text)) if words]
    if not sentences:
        yield "nothing heard"
        return
    last_sentence = sentences[-1]
    first, last = last_sentence[0], last_sentence[-1]
    asks_what = first in _QUESTION_WORDS
    if text.endswith(("...", "…", "-", "–", "—", ",")):
        yield "breaks off"
    elif text[-1].isalnum():
        yield "no full stop"
    if text.endswith("?"):
        yield "question mark"
    for sign, words in _LAST_WORDS.items():
        # "Where do you come from?", "What did you want?": the object stands in front.
        if last in words and not (asks_what and sign in _SATISFIED_BY_QUESTION):
            yield sign
    if _is_only_condition(last_sentence):
        yield "only the condition"
    is_answer = asked.rstrip().endswith("?")
    if " ".join(last_sentence) in _WHOLE or last == "please":
        yield "whole by itself"
    elif is_answer:
        yield "answer"
    elif len(sentences) == 1 and len(last_sentence) <= 2:
        yield "fragment"


def _is_only_condition(sentence: tuple[str, ...]) -> bool:
    """ "When I was in the tower": what happened then is still to come."""
    if sentence[0] not in _SUBORDINATORS or len(sentence) == 1 or sentence[1] in _AUXILIARIES:
        return False
    return not any(word in _SUBJECTS or word in _AUXILIARIES for word in sentence[_CONDITION_WORDS:])


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
_SUBJECTS = _set("i you he she it we they there i'm i'll i'd i've you'll he's she's it's we'll they'll")
_SUBORDINATORS = _set("if when because while once since although though unless after before until as")
_QUESTION_WORDS = _set("what where when who whom whose why which how what's where's who's how's")
_LAST_WORDS = {
    "determiner": _set("a an the my your our their its every very quite whose too"),
    "quantifier": _set("some any this these those another his her each which more most really no"),
    "preposition": _set(
        "of to at for from with about into between through by against without toward towards until during beside than"
    ),
    "conjunction": _set(
        "and or but because if when while that who whom whether unless although though as where why how what instead"
    ),
    "auxiliary": _AUXILIARIES
    | _set("being going i'm i've i'd i'll you're you've you'll he's she's it's we're we've we'll they're they've")
    | _set("there's that's what's who's where's let's"),
    "subject": _set("i he she we they there's"),
    "verb that wants an object": _set(
        "want wants need needs buy sell give bring take get find make see seen saw tell show like think say said hear "
        "heard sells wear wearing looking wondering owe owes mean meant ask bought found send put keep hold use wish "
        "teach leave believe guess"
    ),
    "filler": _set("um uh er erm hmm well like actually basically anyway"),
}
_SATISFIED_BY_QUESTION = ("preposition", "verb that wants an object", "auxiliary")
_WHOLE = _set(
    "yes no yeah yep nope sure okay ok thanks hello hi hey goodbye bye stop wait please sorry never maybe perhaps exactly "
    "right indeed always nothing help what why who where how"
) | {
    *("thank you", "no thank you", "no thanks", "of course", "not yet", "never mind", "me too", "not really"),
    *("good morning", "good evening", "good day", "good night", "excuse me", "that's all", "see you"),
    *("follow me", "wait here", "come here", "come on", "go on", "i see", "i do", "i don't", "i know", "i don't know"),
    *("i think so", "i don't think so", "i hope so"),
}
