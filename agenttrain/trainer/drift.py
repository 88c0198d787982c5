"""Log-probs of sampler and trainer -> how far they are apart, and a weight for each token that makes up for it.

Two programs that compute the same model never agree to the last bit, and in bfloat16, on another engine or under a
truncated distribution they differ visibly: then the episodes come from another policy than the one that learns. A token
weighs the ratio of the two probabilities, cut from above (truncated importance sampling, arXiv 1802.01561), while the
clipped ratio of later updates is taken against the trainer's own log-probs (decoupled objective, arXiv 2110.00641).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

OldLogprobs = Literal["auto", "sampled", "recomputed"]
"""Which log-probs the ratio of new to old policy is taken against."""

AGREE = 1e-3
"""Nats: sampler and trainer agree if no sampled token's log-prob differs by more. In float32 it is about 1e-5, in
bfloat16 0.01 to 0.1; a ratio that is off by a thousandth is far from any clip."""


def drift(trainer: torch.Tensor, sampler: torch.Tensor, sampled: torch.Tensor) -> tuple[float, float]:
    """Mean and largest absolute difference in nats over the tokens where `sampled` is 1; all three are `(rows, T)`."""
    apart = (trainer - sampler).abs()[sampled.bool()]
    return (apart.mean().item(), apart.max().item()) if len(apart) else (0.0, 0.0)


def weights(trainer: torch.Tensor, sampler: torch.Tensor, cap: float | None) -> torch.Tensor:
    """Each token's probability for the trainer over that for the sampler, at most `cap`; None: 1 everywhere.

    Exactly 1 where both agree: who is sampled beside an episode changes its last bits, and must not change a run's.
    """
    apart = trainer - sampler
    if cap is None:
        return apart.new_ones(apart.shape)
    return apart.exp().clamp(max=cap).masked_fill(apart.abs() <= AGREE, 1.0)


def verdict(largest: float, cap: float | None) -> tuple[OldLogprobs, str]:
    """What `auto` comes to where log-probs differ by up to `largest` nats, and a line that says why."""
    if largest <= AGREE:
        return "sampled", f"Old log-probs are those of sampling: the trainer's differ by {largest:.1g} nats at most."
    weighted = f"weighted, by {cap:g} at most" if cap else "not weighted"
    return "recomputed", (
        f"Log-probs of sampling and training differ by up to {largest:.2g} nats (more than {AGREE:g}): tokens are "
        f"{weighted}, and where a step has several updates, old log-probs are recomputed."
    )
