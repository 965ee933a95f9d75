"""Real-time conversational characters for games.

The engine (`npc.engine`) loads the models once and opens sessions; a session
(`npc.session`) is one conversation: speech in, speech, words and actions out.
This package opens no socket: `npc.server` and `npc.clients` do that.
"""

__version__ = "0.1.0"
