"""What characters can do: declared in Python or YAML, compiled to a grammar with the scene, read back from a reply.

A declaration (`declare`) becomes an `ActionSpec`; a `library` holds those of
many files; `grammar` makes the language of replies; `markup` splits a reply
into words and calls; `nominate` notices that the player asks for an action;
`transaction` keeps what became of each.
"""

from npc.actions.expression import Feel, Gesture, expressions
from npc.actions.grammar import compile_reply_grammar
from npc.actions.library import ActionLibrary, load_library
from npc.actions.markup import Act, Piece, Rejected, ReplyParser, Say, parse_call, render_call
from npc.actions.nominate import Nomination, Nominator
from npc.actions.spec import ActionSpec, Parameter
from npc.actions.transaction import ActionLedger, ActionRecord, Closed, Committed, Step, Stopped
from npc.world.scene import PLAYER

__all__ = [
    "PLAYER",
    "Act",
    "ActionLedger",
    "ActionLibrary",
    "ActionRecord",
    "ActionSpec",
    "Closed",
    "Committed",
    "Feel",
    "Gesture",
    "Nomination",
    "Nominator",
    "Parameter",
    "Piece",
    "Rejected",
    "ReplyParser",
    "Say",
    "Step",
    "Stopped",
    "compile_reply_grammar",
    "expressions",
    "load_library",
    "parse_call",
    "render_call",
]
