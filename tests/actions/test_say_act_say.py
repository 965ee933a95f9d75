"""One reply through all that decides about it: what may be written, what is meant, shown, done, taken back and felt."""

import numpy as np

from npc.actions import ActionLedger, Committed, Feel, ReplyParser, Say, compile_reply_grammar, render_call
from npc.actions.agreement import Agreement
from npc.actions.markup import Act
from npc.character import build_prompt, load_characters
from npc.face import Face, glances
from npc.feeling import Heart
from npc.turn import ActionCall, Phoneme, Speech, Word
from npc.world import Scene, SceneDelta, apply_delta, perceived, tell_now

SMITH = load_characters()["smith"]
RATE_HZ = 24_000


def spoken(text: str) -> Speech:
    """A tenth of a second a letter."""
    words, letters, at = [], [], 0
    for word in text.split():
        words.append(Word(word, at, at + 2_400 * len(word)))
        letters += [Phoneme(letter, at + 2_400 * n, at + 2_400 * (n + 1)) for n, letter in enumerate(word.lower())]
        at = words[-1].end_sample
    return Speech(text, np.zeros(at, np.float32), RATE_HZ, tuple(words), tuple(letters))


def test_say_act_say_is_decided_shown_and_taken_back() -> None:
    delta = SceneDelta.model_validate(
        {"player": {"distance": 2, "pointing_at": "axe"}, "objects": [{"id": "lock", "visible": False}]}
    )
    scene: Scene = perceived(apply_delta(SMITH.scene, delta))
    utterance = "Thank you. Give me that one, then wait at the well!"
    heart, stirred = Heart.at_first(SMITH.temper).hears(SMITH.temper, utterance, None, 0)
    prompt = build_prompt(SMITH, scene, [], [], utterance, (), [*tell_now(scene), *stirred.notes])
    assert "(The player is 2 metres away and points at a felling axe.)" in prompt[-1].content
    assert "lock" not in prompt[0].content.partition("Objects: ")[2].splitlines()[0]

    gauges = heart.feeling.gauges
    grammar = compile_reply_grammar(SMITH.actions, scene, gauges=gauges, expressions=SMITH.expressions)
    assert "feel" in grammar.lark

    reply = "[feel(name=fond)] Here you are. [give(item=axe, to=player)] Mind the edge. I'll wait at the well."
    parser = ReplyParser(SMITH.actions, scene, gauges, SMITH.expressions)
    agreement = Agreement(SMITH.actions, scene, gauges, utterance)
    ledger, face = ActionLedger(), Face(RATE_HZ, SMITH.own_emotions)
    sample, tracks, looks = 0, [], []
    acts = []
    for piece in [*parser.push(reply), *parser.flush()]:
        match piece:
            case Feel(name, strength):
                face.feel(name, strength, sample)
            case Say(text):
                agreement.say(text)
                speech = spoken(text)
                looks += glances(speech.words, scene, RATE_HZ, sample)
                tracks.append(face.clause(speech, sample))
                sample += len(speech.audio)
            case Act():
                assert agreement.act(piece) is None
                acts.append((piece, sample))
    (promise,) = agreement.end()
    assert promise.instead == Act("walk_to", {"place": "well"})
    acts.append((promise.instead, sample))
    for n, (act, at) in enumerate(acts):
        ledger.propose(ActionCall(f"1.{n}", act.name, act.args), render_call(act.name, act.args), 1, at)

    give_at = acts[0][1]
    assert 0 < give_at < sample
    assert tracks[0].n_frames + tracks[1].n_frames == -(-sample * 60 // RATE_HZ)
    assert [look.target for look in looks] == ["well", "player"]
    committed = [step.action.name for step in ledger.advance(1, give_at, 0) if isinstance(step, Committed)]
    assert committed == ["give"]
    assert [step.action.name for step in ledger.cancel(1, "the player spoke", 1)] == ["walk_to"]
    ledger.close("1.0", "refused", "the player's hands are full", 2)
    assert heart.learns(SMITH.temper, "sell", "done", 3).feeling.regard > heart.feeling.regard
