"""Where the time of a turn goes: spans on one clock, budgets, and reports over many turns."""

from npc.profile.spans import Trace

__all__ = ["Trace"]
