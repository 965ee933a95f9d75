"""Does a model play its characters well? Cases go in, replies and a table come out.

`cases` says what is asked and expected, `respond` answers through the same
prompt, retrieval, grammar and language model as a session, `checks` judges a
reply without any model's opinion, `score` counts, `report` shows. `stories`
holds the conversations that a writer keeps beside a character.
"""
