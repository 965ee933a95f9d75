"""All that a session keeps of a character's feelings for one player, as one value.

Nothing is changed in place: a reply that is begun before the turn is sure
takes the heart that comes after it, and leaves it if the player goes on.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from npc.errors import InputError
from npc.feeling.mood import Feeling, Stirred, Temper, stir
from npc.feeling.prosody import Baseline, measure
from npc.feeling.words import appraise
from npc.turn import Samples


@dataclass(frozen=True, slots=True)
class Heart:
    feeling: Feeling
    baseline: Baseline = Baseline()  # noqa: RUF009 (a frozen value)
    at_s: float = 0.0
    """When `feeling` was so, on the session's clock."""

    @classmethod
    def at_first(cls, temper: Temper, now_s: float = 0.0) -> "Heart":
        return cls(Feeling.at_first(temper), at_s=now_s)

    def now(self, temper: Temper, now_s: float) -> Feeling:
        """How it feels now, having faded since."""
        return self.feeling.later(temper, now_s - self.at_s)

    def hears(self, temper: Temper, text: str, audio: Samples | None, now_s: float) -> tuple["Heart", Stirred]:
        """After the player said `text`; `audio`, [n] at 16 kHz, is how, and None where it was typed.

        Milliseconds of numpy where there is audio: call it beside the event loop.
        """
        prosody = None if audio is None else measure(audio)
        voice_arousal = self.baseline.arousal(prosody) if prosody else (None if audio is None else 0.0)
        stirred = stir(self.now(temper, now_s), temper, text, appraise(text, voice_arousal))
        baseline = self.baseline.after(prosody) if prosody else self.baseline
        return Heart(stirred.feeling, baseline, now_s), stirred

    def learns(self, temper: Temper, action: str, outcome: str, now_s: float) -> "Heart":
        """After an action of the character's own ended in the game: `done`, `failed` or `refused`."""
        feeling = self.now(temper, now_s).on_result(temper, action, outcome)
        return replace(self, feeling=feeling, at_s=now_s)

    def to_json(self, now_s: float) -> dict[str, Any]:  # JSON
        """As JSON, with the age of the feeling, since another process has another clock."""
        return asdict(self) | {"at_s": self.at_s - now_s}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], now_s: float, away_s: float = 0.0) -> "Heart":
        """What `to_json` gave, `away_s` later. Raises InputError where it is something else."""
        try:
            heart = _hearts.validate_python(dict(data))
        except ValidationError as error:
            raise InputError(f"this is no heart: {str(error).splitlines()[0]}") from error
        return replace(heart, at_s=heart.at_s + now_s - away_s)


_hearts: TypeAdapter[Heart] = TypeAdapter(Heart)
