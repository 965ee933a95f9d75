"""Coqui TTS on tiny models with random weights: noise, but made by the library's own loading and streaming code.

Needs an environment with coqui-tts and a torchaudio that fits its torch; elsewhere only the error for its
absence is tested. `pip install -e '.[coqui,dev]' 'torch==2.11.*' 'torchaudio==2.11.*'` makes one.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npc.config import Speaking
from npc.errors import ConfigError, ModelError
from npc.stages import Synthesiser
from npc.tts import coqui_library
from npc.turn import Speech, Voice


def _why_not() -> str:
    try:
        coqui_library.coqui_tts()
    except ConfigError as error:
        return f"Coqui TTS is not usable here: {error}"
    return ""


WHY_NOT = _why_not()
needs_coqui = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def versions(monkeypatch: pytest.MonkeyPatch, **known: str | None) -> None:
    monkeypatch.setattr(coqui_library, "_version", lambda name: known.get(name.replace("-", "_")))


def test_a_missing_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, torch="2.11.0")
    with pytest.raises(ConfigError, match=r"coqui-tts is not installed.*pip install 'npc-realtime\[coqui\]'"):
        coqui_library.load("tts_models/en/ljspeech/vits")


def test_a_missing_torchaudio_is_named_with_a_torch_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, torch="2.13.0+cpu", coqui_tts="0.28.0")
    with pytest.raises(ConfigError, match=r"needs torchaudio.*torch is 2\.13\.0\+cpu.*'torchaudio==2\.11\.\*'"):
        coqui_library.load("tts_models/en/ljspeech/vits")


def test_a_torchaudio_of_another_release_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, torch="2.10.0", coqui_tts="0.28.0", torchaudio="2.9.1")
    with pytest.raises(ConfigError, match=r"torchaudio 2\.9\.1 does not fit torch 2\.10\.0.*'torch==2\.10\.\*'"):
        coqui_library.load("tts_models/en/ljspeech/vits")


def test_an_import_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, torch="2.11.0", coqui_tts="0.28.0", torchaudio="2.11.0")
    monkeypatch.setitem(sys.modules, "TTS.api", None)
    with pytest.raises(ConfigError, match="Coqui TTS cannot be imported"):
        coqui_library.load("tts_models/en/ljspeech/vits")


def test_no_model_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"speaking\.model is empty"):
        coqui_library.load("")


@pytest.fixture(scope="module")
def vits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from TTS.tts.configs.shared_configs import BaseAudioConfig, CharactersConfig
    from TTS.tts.configs.vits_config import VitsArgs, VitsConfig
    from TTS.tts.models.vits import Vits

    folder = tmp_path_factory.mktemp("vits")
    torch.manual_seed(1)
    config = VitsConfig(
        model_args=VitsArgs(
            hidden_channels=32,
            hidden_channels_ffn_text_encoder=32,
            num_layers_text_encoder=1,
            num_layers_posterior_encoder=1,
            num_layers_flow=1,
            upsample_initial_channel_decoder=32,
            use_sdp=False,
            init_discriminator=False,
        ),
        audio=BaseAudioConfig(sample_rate=16000, hop_length=256, win_length=1024, fft_size=1024, num_mels=80),
        text_cleaner="basic_cleaners",
        use_phonemes=False,
        characters=CharactersConfig(
            characters_class="TTS.tts.models.vits.VitsCharacters",
            pad="_",
            eos="",
            bos="",
            blank="",
            characters="abcdefghijklmnopqrstuvwxyz",
            punctuations="!,.? '",
            phonemes="",
        ),
    )
    model = Vits(config)
    with torch.no_grad():  # durations of some frames a token, whatever the weights
        model.duration_predictor.proj.bias.fill_(1.2)
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    model.config.save_json(str(folder / "config.json"))
    return folder


@pytest.fixture(scope="module")
def vits(vits_folder: Path) -> Any:
    from npc.tts import load_synthesiser

    synthesiser = load_synthesiser(Speaking(engine="coqui", model=str(vits_folder)))
    yield synthesiser
    synthesiser.close()


@pytest.fixture(scope="module")
def xtts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    from npc.tts import load_synthesiser

    folder, width = tmp_path_factory.mktemp("xtts"), 64
    torch.manual_seed(1)
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", "[en]"]
    vocabulary = {token: i for i, token in enumerate([*special, *"abcdefghijklmnopqrstuvwxyz.,!?'"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "vocab.json"))
    args = XttsArgs(
        gpt_layers=1,
        gpt_n_model_channels=width,
        gpt_n_heads=2,
        decoder_input_dim=width,
        gpt_use_perceiver_resampler=True,
        gpt_num_audio_tokens=66,
        gpt_start_audio_token=64,
        gpt_stop_audio_token=65,
        gpt_max_audio_tokens=60,
    )
    model = Xtts(XttsConfig(model_args=args, languages=["en"]))
    model.tokenizer = VoiceBpeTokenizer(vocab_file=str(folder / "vocab.json"))
    model.init_models()
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    speaker = {"gpt_cond_latent": torch.randn(1, 32, width), "speaker_embedding": torch.randn(1, 512, 1)}
    torch.save({"alice": speaker}, folder / "speakers_xtts.pth")
    model.config.save_json(str(folder / "config.json"))
    synthesiser = load_synthesiser(Speaking(engine="coqui", model=str(folder)))
    yield synthesiser
    synthesiser.close()


async def spoken(synthesiser: Synthesiser, text: str, voice: Voice) -> list[Speech]:
    return [speech async for speech in synthesiser.speak(text, voice)]


@needs_coqui
@pytest.mark.real
async def test_vits_speaks_with_the_times_of_its_own_durations(vits: Any) -> None:
    (speech,) = await spoken(vits, "good evening, stranger", Voice("default"))
    assert speech.rate_hz == vits.rate_hz == 16000
    assert len(speech.audio) > 16000 * 0.2
    assert np.isfinite(speech.audio).all()
    assert np.abs(speech.audio).max() <= 1
    assert [word.text for word in speech.words] == ["good", "evening,", "stranger"]
    edges = [edge for word in speech.words for edge in (word.start_sample, word.end_sample)]
    assert edges == sorted(edges)
    assert edges[-1] <= len(speech.audio)
    assert all(word.end_sample > word.start_sample for word in speech.words)


@needs_coqui
@pytest.mark.real
async def test_vits_streams_a_long_text_sentence_by_sentence(vits: Any) -> None:
    text = "The road is closed. The bridge is gone too. Come back in the spring."
    parts = await spoken(vits, text, Voice("default"))
    assert "".join(part.text for part in parts) == text
    assert len(parts) == 3


@needs_coqui
@pytest.mark.real
async def test_xtts_streams_a_clause_in_pieces_and_every_word_has_its_time_once(xtts: Any) -> None:
    assert list(xtts.voices) == ["alice"]
    parts = await spoken(xtts, "Good evening, stranger.", Voice("alice"))
    assert len(parts) >= 3  # pieces as they are made, then the gap
    assert [part.text for part in parts] == ["Good evening, stranger.", *[""] * (len(parts) - 1)]
    assert [word.text for part in parts for word in part.words] == ["Good", "evening,", "stranger."]
    assert all(0 <= w.start_sample <= w.end_sample <= len(part.audio) for part in parts for w in part.words)
    assert all(np.isfinite(part.audio).all() and np.abs(part.audio).max() <= 1 for part in parts)


@needs_coqui
@pytest.mark.real
async def test_an_xtts_clause_that_is_given_up_leaves_the_model_free(xtts: Any) -> None:
    clause = xtts.speak("Good evening, stranger, and welcome to the inn.", Voice("alice"))
    await anext(clause)
    await clause.aclose()
    (first, *_) = await spoken(xtts, "Sit down.", Voice("alice"))
    assert first.text == "Sit down."


@needs_coqui
@pytest.mark.real
async def test_vits_slows_down(vits: Any) -> None:
    (plain,) = await spoken(vits, "good evening stranger", Voice("default"))
    (slow,) = await spoken(vits, "good evening stranger", Voice("default", speed=0.5))
    assert len(slow.audio) > 1.4 * len(plain.audio)


@needs_coqui
@pytest.mark.real
async def test_what_the_model_cannot_do_is_refused(vits: Any) -> None:
    with pytest.raises(ConfigError, match="voice 'gruff' is unknown to this Coqui model; have 'default'"):
        await spoken(vits, "hello", Voice("gruff"))
    with pytest.raises(ConfigError, match="neither pitch nor formant"):
        await spoken(vits, "hello", Voice("default", pitch=0.8))
    assert await spoken(vits, "… 🔥 \x07", Voice("default")) == []


@needs_coqui
def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json"):
        coqui_library.load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="has no checkpoint"):
        coqui_library.load(str(tmp_path))
    (tmp_path / "model.pth").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="Coqui TTS cannot load it"):
        coqui_library.load(str(tmp_path))
    with pytest.raises(ModelError, match="no such folder"):
        coqui_library.load(str(tmp_path / "nowhere"))
