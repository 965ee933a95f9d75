"""Makes a language model play characters: authored worlds go in, a tuned and quantised model comes out.

`corpus` reads what people wrote (npc/train/data), `stage` casts a character
into a scene, `tasks` writes one exchange with the reply that is right,
`generate` mixes them into chat examples in the engine's own prompt; `tune`
trains on them, `quantise` rounds weights in training as the engine will,
`export` writes what ships.
"""
