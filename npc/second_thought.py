"""What the model is told when its reply ran into something, so that it goes on in the same turn.

Either the game could not do what the reply waits for, or the reply promises a
deed in words that leave open with what: then it has to be done, or taken back.
"""

from npc.actions import ActionRecord, compile_reply_grammar
from npc.actions.agreement import Mismatch
from npc.actions.conditions import Conditions
from npc.character import Character, clean, tell_outcome
from npc.moment import Moment
from npc.state import Outcome
from npc.turn import Grammar

Trouble = ActionRecord | Mismatch

MAX_HINDRANCE = 200
"""Characters; it may hold names, which are the game's own words."""


def second_thought(character: Character, moment: Moment, trouble: Trouble) -> tuple[str, Grammar]:
    """The line for the prompt, and what the model may write now."""
    actions, expressions = character.actions, character.expressions
    if isinstance(trouble, ActionRecord):
        outcome = Outcome(trouble.rendered, "refused" if trouble.phase == "refused" else "failed", trouble.reason)
        grammar = compile_reply_grammar(actions, moment.scene, gauges=moment.gauges, expressions=expressions)
        return tell_outcome(outcome), grammar
    action = next(action for action in actions if action.name == trouble.action)
    hindrance = Conditions(moment.scene, moment.gauges).unmet(action)
    if hindrance is not None:
        grammar = compile_reply_grammar(actions, moment.scene, "none", expressions=expressions)
        return f"(You cannot do that now: {clean(hindrance, MAX_HINDRANCE)}.)", grammar
    grammar = compile_reply_grammar(
        actions, moment.scene, "required", [action.name], gauges=moment.gauges, expressions=expressions
    )
    return "(You said that you do it. Do it now.)", grammar
