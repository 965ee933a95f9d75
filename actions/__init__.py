"""The action library that ships, by theme. A character's YAML names the ones that it can do.

`examples` are ways in which a player asks for the action, `counter_examples`
what sounds like it and asks for nothing; docs/actions.md says how to add one.
"""
