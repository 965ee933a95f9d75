"""Every setting of the engine and the server, with its unit in its name.

Values come from defaults, then an `npc.toml`, then `NPC_…` environment
variables (`NPC_LLM__BACKEND=openai`), then the command line.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from npc.cores import one_in
from npc.errors import ConfigError
from npc.explain import explain

CORES_A_WORKER = 2
"""Where there are to be as many processes as the machine bears."""
Positive = Annotated[int, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnTaking(_Section):
    """When a player's turn begins and ends."""

    speech_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    start_ms: Positive = 64
    """Speech of this length starts a turn (or, over a reply, a barge-in)."""
    pause_ms: Positive = 64
    """After this much silence the reply is begun, unheard. Against 96: 32 ms sooner, and 3 % more replies in vain."""
    endpoint_ms: Positive = 200
    """After this much silence the turn is over and the reply leaves, unless the pause is judged by what was said."""
    judges_pauses: bool = True
    """Let what was said decide how long a pause may be; else every turn ends after `endpoint_ms`."""
    smart_turn: bool = False
    """Judge a pause by how the voice sounds, too, and not by the words alone: a model more, on a thread of its own."""
    speculates: bool = True
    """Begin the reply at a pause, before the turn is surely over; else only recognition is begun."""
    speculates_beside: Positive = Field(default_factory=lambda: max(2, one_in(2)))
    """Nor is more begun while so many replies, to whomever, are due and still being made. Two suits two cores; by
    default it is one for every two of them, and no less than two."""
    eagerness: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How soon a pause is taken for the end of the turn: 0 lets people think, 1 risks to cut them off."""
    min_endpoint_ms: Positive = 80
    """No judgement of a pause ends the turn sooner."""
    max_endpoint_ms: Positive = 1700
    """Nor lets it wait longer."""
    preroll_ms: Positive = 320
    """Audio kept from before speech was detected."""
    max_utterance_s: Positive = 120
    barge_in_ms: Positive = 32
    """What may be a voice over a reply hushes it after this long, until it is surely none: by default with the first
    frame in which it is heard."""
    removes_echo: bool = True
    """Take the character's own voice out of the microphone; players who all wear headsets do without."""


class Recognition(_Section):
    model: str = "whisper-tiny.en"
    language: str = "en"
    """A code such as `de` for a multilingual model, or `auto` to detect it in every utterance."""
    n_workers: Positive = Field(default_factory=lambda: one_in(3))
    """Utterances that are heard at a time, on threads that share the weights: by default one for every three cores."""
    n_threads: Positive = 1
    """Of each worker. An utterance is too little work to share: on 2 cores one thread was quicker, and left the other
    core free."""
    voice_activity_workers: Positive = Field(default_factory=lambda: one_in(8))
    """Microphones that are listened to at a time, by default one for every eight cores. With more than one, echo is
    taken out on other threads than the event loop's, too."""
    partial_every_ms: Positive = 400
    """How often the transcript is renewed while the player speaks."""


class Knowledge(_Section):
    model: str = "all-minilm-l6-v2"
    n_passages: Annotated[int, Field(ge=0)] = 2
    lexical_weight: Annotated[float, Field(ge=0)] = 0.5
    """A passage's score is its cosine similarity to the question plus this times the share of the question's words."""
    min_score: float = 0.27
    """Passages that score less are not used. Measured by tests/content: raise it and hard paraphrases find nothing,
    lower it and small talk brings up knowledge."""
    min_share_of_best: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Passages that score less than this share of the best one's score are not used."""
    context_weight: Annotated[float, Field(ge=0, le=1)] = 0.8
    """What a match of the question together with the player's previous one counts."""
    n_workers: Positive = Field(default_factory=lambda: one_in(4))
    """Batches of texts that are embedded at a time, with shared weights: by default one for every four cores."""


class LanguageModelSettings(_Section):
    backend: Literal["embedded", "openai"] = "embedded"
    model: str = "npc-135m"
    weights: Literal["int4", "int8", "bf16"] = "int4"
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """What the model runs on: `auto` is a CUDA device where torch finds one, else the CPU. Not what is set, as long as
    no device has run it."""
    nominates: bool = False
    """Make the model act when sentence embeddings say that the player plainly asks for it: for models that do not call
    actions by themselves, such as the untuned smollm2-135m-instruct."""
    n_threads: Positive = 2
    context_tokens: Positive = 2048
    cache_mb: Positive = 256
    """Most memory that remembered prompts and running replies take; the least recently used go first."""
    reply_words: Positive = 24
    """A reply that has got this long ends with its sentence: nobody listens to a speech."""
    cache_type: Literal["bf16", "int8"] = "bf16"
    """How keys and values are kept: int8 holds nearly twice the text in the same memory, a little less exactly."""
    speculates: bool = True
    """Draft replies by looking up what stands in the prompt; what is said stays the same."""
    phrases: bool = True
    """Draft from what the model likes to say, too, where its folder brings a table of it; what is said stays."""
    draft_model: str = ""
    """A small model with the same tokenizer that writes ahead where look-up knows nothing; what is said stays."""
    base_url: str = ""
    """Of an OpenAI-compatible endpoint, with its /v1."""
    api_key: str = ""
    grammar: Literal["none", "gbnf", "guided", "llguidance"] = "gbnf"
    """How the endpoint takes a grammar: llama.cpp's `grammar`, vLLM's structured outputs, or llguidance's Lark."""
    timeout_s: Annotated[float, Field(gt=0)] = 20.0


class Speaking(_Section):
    engine: Literal["hibari", "coqui"] = "hibari"
    model: str = ""
    """For coqui: a model name of its catalog, or a folder."""
    n_workers: Positive = Field(default_factory=lambda: one_in(8))
    """For hibari: clauses that are spoken at a time, by default one for every eight cores."""
    n_threads: Positive = 1
    """Of each worker."""


class Server(_Section):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    token: str = ""
    """When set, `session-start` must carry it."""
    workers: Annotated[int, BeforeValidator(lambda given: 0 if given == "auto" else given), Field(ge=0)] = 1
    """Processes, each with models of its own, behind one address; 0 or "auto" is one for every two cores."""
    max_sessions: Positive = 64
    """Of all workers together."""
    max_message_bytes: Positive = 262_144
    max_events_per_s: Positive = 100
    max_audio_lead_s: Positive = 10
    """Microphone audio that may arrive ahead of real time."""
    send_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """How long a client may leave what it is sent unread."""
    start_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """How long a fresh connection may take to send `session-start`."""
    keepalive_s: Annotated[float, Field(gt=0)] = 20.0
    """How often a client is pinged, and how long it may take to answer."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Prometheus metrics are served here when it is not 0."""

    @property
    def n_workers(self) -> int:
        return self.workers or one_in(CORES_A_WORKER)


class Budget(_Section):
    """Milliseconds that each stage of a turn may take; the waterfall shows them beside the measured."""

    endpoint: float = 200
    asr: float = 200
    retrieve: float = 30
    prefill: float = 200
    first_token: float = 40
    first_clause: float = 200
    tts: float = 60
    voice_to_voice: float = 1000


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="NPC_", env_nested_delimiter="__", toml_file="npc.toml", extra="forbid", frozen=True
    )

    turn_taking: TurnTaking = TurnTaking()
    recognition: Recognition = Recognition()
    knowledge: Knowledge = Knowledge()
    llm: LanguageModelSettings = LanguageModelSettings()
    speaking: Speaking = Speaking()
    server: Server = Server()
    budget: Budget = Budget()
    models_dir: Path | None = None
    """A folder of models to use as it is, instead of the cache."""
    characters_dir: Path | None = None
    """Characters beside the ones that ship."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,  # as the command line gave them; validated here
) -> Settings:
    """Settings from `overrides`, the environment and a file, the first winning.

    `overrides` are nested like the settings ({"llm": {"backend": "openai"}}); None leaves a value alone. The
    file is `config`, else an npc.toml in the working directory where there is one.
    Raises ConfigError naming the setting that is wrong.
    """
    file = config or Path("npc.toml")
    if config is not None and not config.is_file():
        raise ConfigError(f"{config}: there is no such file")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile(**_given(overrides or {}))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: this is not TOML: {error}") from error
    except ValidationError as error:
        where = f"settings ({file}, NPC_… in the environment, or options)"
        raise ConfigError(f"{where}: {explain(error, Settings)}") from error


def _given(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was left open."""
    given = {key: _given(value) if isinstance(value, Mapping) else value for key, value in overrides.items()}
    return {key: value for key, value in given.items() if value is not None and value != {}}
