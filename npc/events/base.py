"""What all events share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PROTOCOL = "npc.v1"

Turn = Annotated[int, Field(ge=0, description="Which exchange; counts up within a session")]
Sample = Annotated[int, Field(ge=0, description="Position in the reply's audio, in samples")]


class Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
