"""Low-rank adapters (LoRA, arXiv 2106.09685; QLoRA, 2305.14314) around any causal language model, through peft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agenttrain.ranges import Share, Whole

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Lora:
    """Which weights get an adapter, and how large it is."""

    r: Whole = 0
    """Rank; 0 trains the full weights."""
    alpha: float = 16.0
    """The adapter's output is scaled by alpha / r."""
    dropout: Share = 0.0
    """Share of the adapter's inputs dropped in training."""
    target_modules: str | list[str] = "all-linear"
    """Names of the layers to adapt, for example [q_proj, v_proj]; `all-linear` takes all but the output head."""

    def attach(self, model: PreTrainedModel, seed: int = 0) -> Any:
        """The model with a fresh, trainable adapter (which changes nothing until it is trained)."""
        from peft import LoraConfig

        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # peft annotates int and computes with any number
            lora_dropout=self.dropout,
            target_modules=self.target_modules,
            task_type="CAUSAL_LM",
        )
        return adapted(model, config, seed)


def adapted(model: PreTrainedModel, config: LoraConfig, seed: int = 0) -> Any:
    """The model with a fresh adapter of peft's `config`, whose weights are drawn by `seed`."""
    import torch
    from peft import get_peft_model

    torch.manual_seed(seed)
    return get_peft_model(model, config)
