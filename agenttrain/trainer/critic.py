"""Tokens -> values: what the return will be, as far as the tokens so far tell (the critic of PPO, arXiv 1707.06347)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file

from agenttrain.errors import UserError

Trunk = Literal["shared", "detached", "own"]
"""Whose hidden states the value head reads: the policy's, which it shapes, too (`shared`) or only reads (`detached`),
or those of a copy of the policy that learns nothing else (`own`)."""

FILE = "critic.safetensors"


class Critic(torch.nn.Module):
    """A linear head on the hidden states of a model, 0 everywhere at first. It is no part of the policy's modules, so
    that the policy is saved as it came."""

    def __init__(self, model: Any, trunk: Trunk) -> None:
        super().__init__()
        policy = model.get_base_model() if hasattr(model, "peft_config") else model
        self._read = [policy.base_model]  # in a list: a module would be registered, and be ours to train
        self._detached = trunk == "detached"
        self.trunk = None
        if trunk == "own":
            # What does not learn, such as the weights below an adapter, need not be there twice.
            fixed = {id(weights): weights for weights in policy.base_model.parameters() if not weights.requires_grad}
            self.trunk = copy.deepcopy(policy.base_model, fixed)
            self._read = [self.trunk]
        self.head = torch.nn.Linear(policy.config.get_text_config().hidden_size, 1, device=model.device)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, seen: list[torch.Tensor] | None = None) -> torch.Tensor:
        """The value after each token, which is that before the next one; `(rows, T)` in units of reward.

        `seen` holds the hidden states of these very tokens, where a pass over them was `watched`.
        """
        hidden = seen[-1] if seen else self._read[0](input_ids=ids, attention_mask=mask, use_cache=False)[0]
        with torch.autocast(hidden.device.type, enabled=False):  # bfloat16 would round a value to three digits
            return self.head((hidden.detach() if self._detached else hidden).float()).squeeze(-1)

    @contextmanager
    def watched(self) -> Iterator[list[torch.Tensor]]:
        """Keeps the hidden states of the policy's passes, so that a critic on its trunk needs none of its own."""
        seen: list[torch.Tensor] = []
        if self.trunk is not None:
            yield seen
            return
        hook = self._read[0].register_forward_hook(lambda module, args, out: seen.append(out[0]))
        try:
            yield seen
        finally:
            hook.remove()

    @property
    def learned(self) -> dict[str, torch.nn.Parameter]:
        """Name -> weights that training changes."""
        return {name: weights for name, weights in self.named_parameters() if weights.requires_grad}

    def save(self, folder: Path) -> None:
        """Write what is learned beside the policy."""
        save_file({name: weights.detach().contiguous() for name, weights in self.learned.items()}, folder / FILE)

    def load(self, folder: Path) -> None:
        """
        Raises:
            UserError: the folder has no critic, or one of another kind.
        """
        if not (folder / FILE).is_file():
            raise UserError(f"{folder} has no {FILE}: it was not written by algo=ppo. Resume with algo= as it was.")
        weights = load_file(folder / FILE)
        if weights.keys() != self.learned.keys():
            raise UserError(f"The critic in {folder} is of another kind. Resume with algo.critic as it was.")
        self.load_state_dict(weights, strict=False)


def value_loss(
    values: torch.Tensor, old: torch.Tensor, targets: torch.Tensor, clip: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Half the squared error of each value, and whether its clip decided it; all of one shape.

    As PPO's code has it (arXiv 2005.12729), the larger of two errors: the value's own, and that of the value moved by
    at most `clip` from what it was (None: no clip). So a value that has moved further learns nothing that takes it
    further.
    """
    plain = (values - targets) ** 2
    if clip is None:
        return plain / 2, torch.zeros_like(plain, dtype=torch.bool)
    clipped = (old + (values - old).clamp(-clip, clip) - targets) ** 2
    return torch.maximum(plain, clipped) / 2, clipped > plain


def explained(values: torch.Tensor, targets: torch.Tensor) -> float:
    """Share of the targets' variance that the values explain: 1 at best, 0 for a constant; nan where there is none."""
    spread = targets.var(correction=0).item() if len(targets) else 0.0
    return 1 - (targets - values).var(correction=0).item() / spread if spread > 0 else math.nan
