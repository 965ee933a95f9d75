"""Plays a reply's lines: speech with a face, actions, feelings, gestures and looks, each at its sample.

All of it goes through the curtain, so nothing leaves before the player's turn
is over. An action that is awaited stops the play until the game has answered.
"""

import base64
from collections.abc import Sequence
from contextlib import aclosing

from npc.actions import Act, ActionRecord, ActionSpec, Feel, Gesture, render_call
from npc.character import Character
from npc.curtain import Curtain
from npc.deeds import Deeds
from npc.events import ActionEvent, Blendshapes, FaceChoice, FaceEvent, GazeEvent, TimedViseme
from npc.face import Face, glances, viseme_keys
from npc.feeling import coloured, mix_of, resting_mix
from npc.moment import Moment
from npc.profile import Trace
from npc.stages import Synthesiser
from npc.timeline import Timeline
from npc.turn import ActionCall, Speech
from npc.writer import Lines, Retract


class Actor:
    def __init__(
        self,
        character: Character,
        moment: Moment,
        timeline: Timeline,
        synthesiser: Synthesiser,
        curtain: Curtain,
        deeds: Deeds,
        trace: Trace,
        *,
        is_spoken: bool,
        face: FaceChoice,
    ) -> None:
        self._character = character
        self._moment = moment
        self._timeline = timeline
        self._synthesiser = synthesiser
        self._curtain = curtain
        self._deeds = deeds
        self._trace = trace
        self._is_spoken = is_spoken
        self._face_choice = face
        self._acts: list[tuple[Act, str]] = []
        """Those that were taken, with their ids."""
        resting = resting_mix(moment.heart.feeling)
        self._voice = coloured(character.voice, resting)
        self._face = Face(timeline.rate_hz, character.own_emotions, seed=timeline.turn)
        self._face.rest(resting)

    async def play(self, lines: Lines) -> ActionRecord | None:
        """Play the lines to their end, or to an awaited action that came to nothing: that one. Raises StageError."""
        while (line := await lines.get()) is not None:
            match line:
                case str():
                    await self._say(line)
                case Act():
                    ended = await self._act(line)
                    if ended is not None and ended.phase != "done":
                        return ended
                case Feel(name, strength):
                    self._feel(name, strength)
                case Gesture(name):
                    self._curtain.put(self._timeline.gesture(name))
                case Retract(act, reason):
                    self._retract(act, reason)
        return None

    async def _say(self, clause: str) -> None:
        if not self._is_spoken:
            self._curtain.put(self._timeline.write(clause))
            return
        is_first = self._timeline.n_samples == 0
        start_ms = self._trace.now_ms()
        async with aclosing(self._synthesiser.speak(clause, self._voice)) as parts:
            async for speech in parts:
                if is_first:
                    self._trace.add("tts", start_ms, self._trace.now_ms())
                    is_first = False
                await self._utter(speech)

    async def _utter(self, speech: Speech) -> None:
        """What goes with a clause's audio, and then the audio."""
        start = self._timeline.n_samples
        words, frames = self._timeline.speak(speech)
        self._curtain.put(words)
        if self._face_choice != "none":
            self._curtain.put(self._face_of(speech, start))
        for glance in glances(speech.words, self._moment.scene, speech.rate_hz, start):
            self._curtain.put(GazeEvent(turn=self._timeline.turn, sample=glance.sample, target=glance.target))
        for frame in frames:
            await self._curtain.room()
            self._curtain.put(frame)

    def _face_of(self, speech: Speech, start: int) -> FaceEvent:
        visemes: Sequence[TimedViseme] = ()
        blendshapes: Blendshapes | None = None
        if self._face_choice in ("visemes", "both"):
            visemes = [
                TimedViseme(
                    viseme=key.viseme,
                    sample=start + key.sample,
                    peak_sample=start + key.peak_sample,
                    end_sample=start + key.end_sample,
                    weight=round(key.weight, 3),
                )
                for key in viseme_keys(speech)
            ]
        if self._face_choice in ("blendshapes", "both"):
            track = self._face.clause(speech, start)
            data = base64.b64encode(track.packed()).decode("ascii")
            blendshapes = Blendshapes(first_frame=track.first_frame, n_frames=track.n_frames, data=data)
        return FaceEvent(turn=self._timeline.turn, sample=start, visemes=tuple(visemes), blendshapes=blendshapes)

    def _feel(self, name: str, strength: float) -> None:
        self._face.feel(name, strength, self._timeline.n_samples)
        self._voice = coloured(self._character.voice, mix_of(name, self._character.own_emotions), strength)
        self._curtain.put(self._timeline.feel(name, strength))

    async def _act(self, act: Act) -> ActionRecord | None:
        """Take an action; where it is awaited, what became of it."""
        spec = next(action for action in self._character.actions if action.name == act.name)
        call = ActionCall(f"{self._timeline.turn}.{len(self._acts) + 1}", act.name, act.args)
        self._acts.append((act, call.id))
        rendered = render_call(act.name, act.args, self._character.actions)
        event = self._timeline.act(call, rendered, is_awaited=spec.is_awaited)
        self._curtain.do(lambda: self._propose(event, rendered, spec))
        if not spec.is_awaited:
            return None
        await self._curtain.wait()
        return await self._deeds.end_of(call.id)

    def _propose(self, event: ActionEvent, rendered: str, spec: ActionSpec) -> None:
        self._deeds.propose(event, rendered, spec)
        if event.awaited and not event.sample:  # nothing is heard before it, nor until it is over
            self._deeds.advance(event.turn, 0)

    def _retract(self, act: Act, reason: str) -> None:
        """Call off the last such action."""
        action_id = next((action_id for made, action_id in reversed(self._acts) if made == act), None)
        if action_id is not None:
            self._curtain.do(lambda: self._deeds.call_off(action_id, reason))
