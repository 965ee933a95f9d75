"""What may stand in a `character.yaml`. docs/characters.md explains every key to writers."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from npc.config import TurnTaking
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


_plain = AfterValidator(_paragraph)
Name = Annotated[str, Field(max_length=60), _plain]
Line = Annotated[str, Field(max_length=160), _plain]
Remark = Annotated[str, Field(max_length=300), _plain]
Persona = Annotated[str, Field(max_length=800), _plain]
"""What a small model keeps in mind, and prefills in a moment: about 200 tokens."""
Number = Annotated[float, Field(strict=True)]
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


class SamplingForm(_Form):
    temperature: Annotated[Number, Field(ge=0, le=2)] = 0.6
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
    emotions: Annotated[list[Annotated[str, AfterValidator(_emotion)]], Field(max_length=12)] = []
    actions: Annotated[list[str], Field(max_length=32)] = []
    examples: Annotated[list[ExampleForm], Field(max_length=6)] = []
    scene: SceneForm = SceneForm()
    knowledge: list[str] | None = None
    turn_taking: TurnTaking = TurnTaking()
    sampling: SamplingForm = SamplingForm()
