"""From a model's folder and the settings to what writes replies: the device, the engine on it, what drafts for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from npc.config import LanguageModelSettings
from npc.errors import ConfigError, ModelError
from npc.llm import weights
from npc.llm.architecture import Architecture
from npc.llm.cache import CACHES
from npc.llm.engine import PAGE_SIZE, Engine
from npc.llm.phrases import Phrases, Recall, Trust
from npc.llm.tokenizer import ChatTokenizer

Device = Literal["cpu", "cuda"]

ROW_COST: dict[Device, float] = {"cpu": 0.15, "cuda": 0.03}
"""What one more row adds to a step, of what the first takes: `npc profile llm` measures it."""


class Start:
    """What is known before anything heavy is loaded: the settings are checked here, weights are read by `engine`."""

    def __init__(
        self, model_folder: Path, derived: Path, settings: LanguageModelSettings, draft_folder: Path | None = None
    ) -> None:
        """`derived` is a folder for the quantised weights. Raises ConfigError, ModelError."""
        self.arch = Architecture.read(model_folder)
        self.tokenizer = ChatTokenizer(model_folder)
        if draft_folder is not None:
            _check_vocabulary(self.tokenizer, self.arch, draft_folder)
        self.device = choose_device(settings)
        self._model_folder, self._draft_folder = model_folder, draft_folder
        self._derived, self._settings = derived, settings

    @property
    def speculates(self) -> bool:
        """Not on a GPU: a pass that checks drafts cannot run ahead of the host, which costs more than drafts bring."""
        return self._settings.speculates and self.device == "cpu"

    def engine(self) -> Engine:
        """To be called on the thread that will run its steps. Raises ModelError."""
        settings = self._settings
        if self.device == "cuda":
            from npc.llm.gpu.start import start  # nothing of it is needed on a CPU

            return start(self._model_folder, self._derived, settings)
        folders = [self._model_folder] if self._draft_folder is None else [self._model_folder, self._draft_folder]
        models = [weights.load(each, self._derived, settings.weights, settings.context_tokens) for each in folders]
        for model in models:
            model.warm_up()
        token_bytes = CACHES[settings.cache_type].token_bytes
        page_bytes = PAGE_SIZE * sum(token_bytes(model.arch, model.dtype) for model in models)
        return Engine(
            models[0],
            self.arch.eos_ids,
            n_pages=max(1, settings.cache_mb * 2**20 // page_bytes),
            draft_model=models[1] if self._draft_folder else None,
            cache_type=settings.cache_type,
        )

    def recalls(self) -> Callable[[int], Recall] | None:
        """Drafts from the phrases that the model's folder brings with it, where it does and the settings want them."""
        phrases = Phrases.read(self._model_folder, self.arch.vocab_size) if self._settings.phrases else None
        if phrases is None:
            return None
        eos_ids, trusts, row_cost = frozenset(self.arch.eos_ids), (Trust(), Trust()), ROW_COST[self.device]
        return lambda n_prompt: Recall(phrases, n_prompt, eos_ids, trusts, row_cost)


def choose_device(settings: LanguageModelSettings) -> Device:
    """Raises ConfigError when a CUDA device is asked for that is not there, or for what does not run on one."""
    if settings.device == "cpu" or (settings.device == "auto" and settings.draft_model):
        return "cpu"
    if torch.cuda.is_available():
        if settings.draft_model:
            raise ConfigError("llm.draft_model runs on a CPU alone; leave it empty, or set llm.device to 'cpu'")
        return "cuda"
    if settings.device == "auto":
        return "cpu"
    reason = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no CUDA device"
    raise ConfigError(f"llm.device is 'cuda', but {reason} (torch {torch.__version__}); use 'cpu' or 'auto'")


def _check_vocabulary(tokenizer: ChatTokenizer, arch: Architecture, draft_folder: Path) -> None:
    """A draft is token ids: both models must mean the same by them."""
    draft = Architecture.read(draft_folder)
    if draft.vocab_size != arch.vocab_size:
        raise ModelError(
            f"{draft_folder}: llm.draft_model has {draft.vocab_size} tokens and llm.model {arch.vocab_size}; "
            f"they must share one tokenizer"
        )
    if ChatTokenizer(draft_folder).library.get_vocab() != tokenizer.library.get_vocab():
        raise ModelError(f"{draft_folder}: llm.draft_model has another tokenizer than llm.model; they must share one")
