"""The language model room: prompts go in, replies come out as they are written.

`EmbeddedLanguageModel` (npc.llm.embedded) runs in this process, in one batched
step loop over a paged cache; `OpenAILanguageModel` (npc.llm.openai) speaks to
an OpenAI-compatible endpoint. Both are a `LanguageModel` of npc.stages. This
package imports neither: torch is loaded when the engine is.
"""
