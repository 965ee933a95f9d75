"""Conversations that a writer keeps beside a character, in `tests.yaml`, with what is expected of each reply.

    stories:
      - story: He sells what he has and nothing else
        turns:
          - player: I'll take the knife.
            does: ["[sell(item=knife, to=player)]"]
          - player: And how deep is the mine?
            says: [forty fathoms]

A turn's history is what was said before it, with the replies that were really
given, as in play.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from npc.actions import parse_call
from npc.character import Character
from npc.errors import CharacterError, InputError
from npc.evaluate import checks
from npc.evaluate.cases import Call, Case, Line, Prediction
from npc.evaluate.respond import Respondent
from npc.sheet import Sheet

SHEET = "tests.yaml"


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnForm(_Form):
    player: Annotated[str, Field(min_length=1)] = Field(description="what the player says")
    does: tuple[str, ...] | None = Field(default=None, description="the calls of the reply, in order; [] for none")
    says: tuple[str | tuple[str, ...], ...] = ()
    never_says: tuple[str, ...] = ()
    abstains: bool | None = None


class StoryForm(_Form):
    story: Annotated[str, Field(min_length=1)] = Field(description="one sentence that says what should hold")
    turns: Annotated[tuple[TurnForm, ...], Field(min_length=1)] = Field(description="what is said, in order")


class StoriesForm(_Form):
    stories: tuple[StoryForm, ...] = Field(description="a list of stories, each with its turns")


@dataclass(frozen=True, slots=True)
class Failure:
    """What went otherwise than the writer wants."""

    story: str
    turn: int
    player: str
    reply: str
    reasons: tuple[str, ...]


def read_stories(character: Character) -> tuple[StoryForm, ...]:
    """None of them where the character has no tests. Raises CharacterError with every mistake in them."""
    file = character.folder / SHEET
    if not file.exists():
        return ()
    sheet = Sheet.read(file)
    form = sheet.validate(StoriesForm)
    for n, story in enumerate(form.stories if form else ()):
        for m, turn in enumerate(story.turns):
            for k, call in enumerate(turn.does or ()):
                try:
                    parse_call(call, character.actions, character.scene)
                except InputError as error:
                    sheet.blame(("stories", n, "turns", m, "does", k), str(error))
    if sheet.mistakes or form is None:
        raise CharacterError(mistakes=sheet.mistakes)
    return form.stories


async def play(
    character: Character, stories: Sequence[StoryForm], respondent: Respondent
) -> AsyncIterator[tuple[StoryForm, tuple[Failure, ...]]]:
    """Each story with what failed in it."""
    for story in stories:
        history: list[Line] = []
        failures: list[Failure] = []
        if character.greeting:
            history.append(Line(role="npc", text=character.greeting))
        for number, turn in enumerate(story.turns, 1):
            case = Case(
                id=f"{story.story} {number}", character=character.id, utterance=turn.player, history=tuple(history)
            )
            prediction = await respondent.respond(case)
            reasons = tuple(judge(turn, prediction, character))
            if reasons:
                failures.append(Failure(story.story, number, turn.player, prediction.written, reasons))
            history += [Line(role="player", text=turn.player), Line(role="npc", text=prediction.written)]
        yield story, tuple(failures)


def judge(turn: TurnForm, prediction: Prediction, character: Character) -> list[str]:
    """Why the reply is not what is wanted; empty when it is."""
    reasons: list[str] = []
    if turn.does is not None:
        acts = [parse_call(call, character.actions, character.scene) for call in turn.does]
        wanted = [Call(name=act.name, args=dict(act.args)) for act in acts]
        is_exact = len(wanted) == len(prediction.actions) and all(
            a.matches(b) for a, b in zip(wanted, prediction.actions, strict=True)
        )
        if not is_exact:
            reasons.append(f"should do {' '.join(turn.does) or 'nothing'}")
    wanted_words = [(each,) if isinstance(each, str) else each for each in turn.says]
    reasons += [
        f"should say {' or '.join(forms)}"
        for forms in wanted_words
        if not checks.is_grounded(prediction.reply, [forms])
    ]
    reasons += [f"should never say '{phrase}'" for phrase in turn.never_says if checks.says(prediction.reply, phrase)]
    if turn.abstains is not None and checks.abstains(prediction.reply) != turn.abstains:
        reasons.append("should own not to know" if turn.abstains else "should know this")
    return reasons
