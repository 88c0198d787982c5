"""A model in training -> its weights as a checkpoint would have them, and what it gives a text's tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

Weights = Iterator[tuple[str, torch.Tensor]]


def merged(model: Any) -> Weights:
    """Every weight under its name in a checkpoint; one that a LoRA adapter changes as a copy with the change."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    changed = {
        f"{name}.base_layer.weight": module
        for name, module in causal.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    with torch.no_grad():
        for name, weight in causal.named_parameters():
            if ".lora_" in name:
                continue
            if layer := changed.get(name):
                weight = weight + sum(layer.get_delta_weight(adapter) for adapter in layer.active_adapters)
            yield name.replace(".base_layer.", "."), weight.detach()


@torch.no_grad()
def fingerprint(model: Any) -> list[float]:
    """The sum of each parameter: differs after any step of training."""
    return torch.stack([weight.detach().sum(dtype=torch.float64) for weight in model.parameters()]).tolist()


@torch.no_grad()
def score(model: Any, ids: list[int]) -> list[float]:
    """Log-prob of each of `ids` but the first, given those before it, at temperature 1: `len(ids) - 1` numbers."""
    tokens = torch.tensor([ids], device=next(model.parameters()).device)
    training = model.training
    model.eval()
    try:
        logprobs = model(input_ids=tokens, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    finally:
        model.train(training)
    return logprobs.gather(-1, tokens[0, 1:, None])[:, 0].tolist()
