"""A model in memory with everything that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agenttrain.model.chat import Chat


@dataclass
class Loaded:
    """What `load` gives: ready to act or, loaded as trainable, to train."""

    model: Any
    """A `PreTrainedModel`, or a `PeftModel` around one."""
    tokenizer: PreTrainedTokenizerBase
    chat: Chat
    name: str
    """What trajectories and reports call it."""

    def save(self, folder: Path) -> None:
        """Write model (or adapter) and tokenizer in Hugging Face form, so that `model.path=<folder>` loads them."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


@runtime_checkable
class ModelPolicy(Protocol):
    """A policy that acts with a model of ours in this process, and so is told which; `rl` trains no other."""

    def attach(self, model: Any, chat: Chat, name: str) -> None:
        """Act with `model` from now on, always with the weights it has at the time."""
        ...


class Model(Protocol):
    """An option of the group `model`: describes a model, and loads it when asked."""

    def check(self) -> None:
        """What can be known to be wrong in a moment, without the libraries that load models.

        Raises:
            UserError: see `load`.
        """
        ...

    def load(self, workdir: Path | None = None, trainable: bool = False) -> Loaded:
        """Build or read the model.

        `workdir` is where a model that exists nowhere else is written first, so that adapters and reference models can
        name a folder. `trainable` adds the LoRA adapter, if one is configured.

        Raises:
            UserError: nothing (usable) at the configured path.
        """
        ...
