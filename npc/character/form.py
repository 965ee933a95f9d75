"""What may stand in a `character.yaml`. docs/characters.md explains every key to writers."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from npc.actions.spec import VALUE
from npc.config import TurnTaking
from npc.feeling.emotions import PLAIN
from npc.feeling.mood import MAX_WORDS
from npc.feeling.words import TONES
from npc.sheet import did_you_mean
from npc.world import Entity
from npc.world.scene import MAX_ENTITIES


def _paragraph(text: str) -> str:
    """Line breaks of YAML are for the eye."""
    text = " ".join(text.split())
    if not text:
        raise ValueError("is empty")
    if not text.isprintable():
        raise ValueError("has control characters; use printable text")
    return text


def _one_entity(value: object) -> object:
    """`- well` is short for `- {id: well}`."""
    return {"id": value} if isinstance(value, str) else value


def _one_voice(value: object) -> object:
    """`voice: gruff` is short for `voice: {name: gruff}`."""
    return {"name": value} if isinstance(value, str) else value


def _emotion(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z_]{0,31}", name):
        raise ValueError(f"'{name}' is no emotion's name; use one lowercase word, as in 'proud'")
    return name


def _one_emotion(value: object) -> object:
    """`- gruff` is short for `- {name: gruff}`."""
    return {"name": value} if isinstance(value, str) else value


def _one_likeness(value: object) -> object:
    """`like: gruff` is short for `like: {gruff: 1}`."""
    return {value: 1.0} if isinstance(value, str) else value


def _gesture(name: str) -> str:
    if not VALUE.fullmatch(name):
        raise ValueError(f"'{name}' is no gesture's name; use one word, as in 'shrug'")
    return name


def _tone(name: str) -> str:
    if name not in TONES:
        raise ValueError(f"'{name}' is no tone of voice or words{did_you_mean(name, TONES)}")
    return name


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


_plain = AfterValidator(_paragraph)
Name = Annotated[str, Field(max_length=60), _plain]
Line = Annotated[str, Field(max_length=160), _plain]
Remark = Annotated[str, Field(max_length=300), _plain]
Persona = Annotated[str, Field(max_length=800), _plain]
"""What a small model keeps in mind, and prefills in a moment: about 200 tokens."""
Number = Annotated[float, Field(strict=True)]
Points = Annotated[float, Field(strict=False, ge=-100, le=100)]
Entities = Annotated[list[Annotated[Entity, BeforeValidator(_one_entity)]], Field(max_length=MAX_ENTITIES)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VoiceForm(_Form):
    name: str = Field(description="one of the voices that `npc check` lists when it is wrong")
    speed: Annotated[Number, Field(ge=0.5, le=2)] = 1.0
    pitch: Annotated[Number, Field(ge=0.5, le=2)] = 1.0
    formant: Annotated[Number, Field(ge=0.7, le=1.4)] = 1.0


class ExampleForm(_Form):
    player: Remark = Field(description="what the player says")
    npc: Remark = Field(description="what the character answers")


class SceneForm(_Form):
    description: Remark | None = None
    places: Entities = []
    objects: Entities = []
    characters: Entities = []


class EmotionForm(_Form):
    name: Annotated[str, AfterValidator(_emotion)]
    like: Annotated[
        dict[str, Annotated[Number, Field(gt=0, le=1)]], BeforeValidator(_one_likeness), Field(max_length=len(PLAIN))
    ] = {}


class RuleForm(_Form):
    """One of `hears`, `words` and `action`, and what it moves."""

    hears: Annotated[list[Annotated[str, AfterValidator(_tone)]], BeforeValidator(_one_or_more)] = []
    words: Annotated[list[Line], BeforeValidator(_one_or_more), Field(max_length=MAX_WORDS)] = []
    action: str = ""
    outcome: Literal["done", "failed", "refused"] = "done"
    mood: Points = 0
    arousal: Points = 0
    regard: Points = 0
    note: Line | None = None


class FeelingForm(_Form):
    mood: Points = 0
    arousal: Points = 0
    regard: Points = 0
    rules: Annotated[list[RuleForm], Field(max_length=24)] = []
    mood_half_life_s: Annotated[Number, Field(gt=0)] = 240
    arousal_half_life_s: Annotated[Number, Field(gt=0)] = 60
    regard_half_life_s: Annotated[Number, Field(gt=0)] = 14 * 86_400
    contagion: Annotated[Number, Field(ge=0, le=30)] = 6


class SamplingForm(_Form):
    temperature: Annotated[Number, Field(ge=0, le=2)] = 0.3
    top_p: Annotated[Number, Field(gt=0, le=1)] = 0.9
    top_k: Annotated[int, Field(ge=0, strict=True)] = 0
    repetition_penalty: Annotated[Number, Field(ge=1, le=2)] = 1.1
    max_tokens: Annotated[int, Field(ge=8, le=512, strict=True)] = 96
    seed: Annotated[int, Field(ge=0, strict=True)] | None = None


class CharacterForm(_Form):
    name: Name = Field(description="what people call the character")
    role: Line = Field(description="what the character is, in a few words")
    persona: Persona = Field(description="who the character is, in two to six sentences")
    voice: Annotated[VoiceForm, BeforeValidator(_one_voice)] = Field(description="the name of a voice")
    style: Remark | None = None
    greeting: Remark | None = None
    goals: Annotated[list[Line], Field(max_length=6)] = []
    limits: Annotated[list[Line], Field(max_length=6)] = []
    emotions: Annotated[list[Annotated[EmotionForm, BeforeValidator(_one_emotion)]], Field(max_length=12)] = []
    gestures: Annotated[list[Annotated[str, AfterValidator(_gesture)]], Field(max_length=12)] = []
    reactions: Annotated[list[Literal["gaze", "nod", "breath"]], Field(max_length=6)] = []
    feeling: FeelingForm = FeelingForm()
    actions: Annotated[list[str], Field(max_length=32)] = []
    examples: Annotated[list[ExampleForm], Field(max_length=6)] = []
    scene: SceneForm = SceneForm()
    knowledge: list[str] | None = None
    turn_taking: TurnTaking = TurnTaking()
    sampling: SamplingForm = SamplingForm()
