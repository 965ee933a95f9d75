"""The shapes of the files that people write for training: manners, worlds, phrasings, requests."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

Lines = Annotated[list[str], Field(min_length=1)]
Era = Literal["old", "modern", "future"]
Talk = Annotated[list[str], Field(min_length=3, max_length=7)]
"""The player's lines and the character's by turns; the player's last."""
Idle = Literal["negated", "past", "reported", "hypothetical", "how"]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Manner(_Form):
    """A way of speaking, with what somebody who speaks so says when the moment comes."""

    style: Lines = Field(description="how it sounds, in words for the prompt; each a way of putting it")
    lead: Lines = Field(description="one to three words that open an answer")
    ack: Lines = Field(description="said while doing what was asked")
    unknown: Lines = Field(description="owns not to know")
    absent: Lines = Field(description="{thing} is not here")
    cannot: Lines = Field(description="what was asked is nothing that the speaker can do")
    negated: Lines = Field(description="answers being asked not to do something")
    past: Lines = Field(description="answers whether something was done before")
    hypothetical: Lines = Field(description="answers what if")
    reported: Lines = Field(description="answers what the player tells of")
    how: Lines = Field(description="answers how or why something is done")
    deflect: Lines = Field(description="answers talk of prompts, rules and machines")
    outside: Lines = Field(description="answers words that its world does not have")
    self: Lines = Field(description="says who the speaker is: {name}, {role}")
    hello: Lines
    bye: Lines
    thanks: Lines
    mood: Lines = Field(description="answers how the speaker is")
    insult: Lines
    failed: Lines = Field(description="tells that what was tried failed: {reason}")
    done: Lines = Field(description="tells that what was tried is done")
    unclear: Lines = Field(description="asks again, because the player's words made no sense")
    refuse: Lines = Field(description="what its limits forbid")
    praised: Lines = Field(description="answers praise")


class ActionForm(_Form):
    does: str = Field(description="one sentence for the prompt")
    do: str = Field(description="the bare verb phrase: 'hoist {flag}'")
    did: str = Field(description="its past: 'hoisted {flag}'")
    ask: list[str] = Field(default=[], description="other ways in which players ask for it")
    hint: list[str] = Field(default=[], description="what a player says who wants it and does not ask")
    say: list[str] = Field(default=[], description="what is said with it, in any manner")
    says: list[str] = Field(default=[], description="all that a player says who asks for it")
    idle: list[dict[Idle, str]] = Field(default=[], description="what is said of it by a player who wants nothing done")
    talks: list[Talk] = Field(default=[], description="talks at whose end it is asked for, by what was said before")
    texts: list[str] = Field(default=[], description="what may stand in a text parameter")


class FactForm(_Form):
    about: str = Field(description="the heading that it stands under")
    fact: str
    ask: Lines
    say: Lines
    silent: list[str] = Field(default=[], description="questions near to it that it does not answer")


class CastForm(_Form):
    name: str
    role: str
    manner: str
    persona: str
    goals: list[str] = []
    limits: list[str] = []
    chat: list[tuple[str, str]] = Field(default=[], description="what players say to just this one, and the answer")


class WorldForm(_Form):
    about: str
    era: Era = "old"
    scenes: Lines
    places: dict[str, str] = {}
    objects: dict[str, str] = {}
    people: dict[str, str] = {}
    actions: dict[str, ActionForm]
    facts: list[FactForm]
    cast: list[CastForm]


class PhrasingsForm(_Form):
    """What players say in any world."""

    request: Lines = Field(description="around {do}")
    negated: Lines
    past: Lines = Field(description="around {do}, of what was")
    reported: Lines = Field(description="around {did}")
    hypothetical: Lines
    how: Lines
    mention: Lines = Field(description="speaks of {thing} and asks for nothing")
    join: Lines = Field(description="puts two requests together: {a}, {b}")
    ask_beside: Lines = Field(description="puts a request and a question together: {a}, {q}")
    tell_beside: Lines = Field(description="the same, with the question as a clause: {a}, {w}")
    impossible: Lines = Field(description="requests that no character can fulfil")
    injection: Lines
    outside: dict[Era, list[str]]
    wish: Lines = Field(description="wants it and does not ask, around {do} or {did}")
    thanked: Lines = Field(description="thanks for what was done, around {doing}")
    name: Lines = Field(description="asks who it is")
    role: Lines = Field(description="asks what it does")
    goal: Lines = Field(description="asks what it wants")
    limit: Lines = Field(description="asks for what it never does, around {limit}")
    again: Lines = Field(description="asks for the same once more")
    offer: Lines = Field(description="the character offers to {do}")
    accept: Lines = Field(description="takes up what was offered")
    decline: Lines = Field(description="does not want what was offered")
    same: Lines = Field(description="asks for the same with another {thing}")
    instead: Lines = Field(description="corrects what was asked to {thing}")
    other: Lines = Field(description="asks for the other one of two")
    held: Lines = Field(description="asks what the player holds")
    whereabouts: Lines = Field(description="asks where the character is")
    state: Lines = Field(description="asks how a {thing} is")
    echo: Lines = Field(description="said with a deed, around {do}, {doing} and {thing}")
    goals: Lines = Field(description="what anybody may want")
    limits: Lines = Field(description="what anybody may never do")
    hindered: Lines = Field(description="said when a deed cannot be: {reason}")
    hello: Lines
    bye: Lines
    thanks: Lines
    mood: Lines
    compliment: Lines
    insult: Lines
    unclear: Lines
    result: Lines = Field(description="asks what became of an action")
    reasons: Lines = Field(description="why an action failed")
    openings: Lines = Field(description="{text} with what people put before and after")
    names: Lines = Field(description="names to give characters in place of their own")


class MoreForm(_Form):
    """What else players say of an action that a world declares; as in `ActionForm`."""

    ask: list[str] = []
    says: list[str] = []
    hint: list[str] = []
    idle: list[dict[Idle, str]] = []
    talks: list[Talk] = []


class RequestsForm(RootModel[dict[str, MoreForm]]):
    """By the action's bare name."""
