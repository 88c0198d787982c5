"""Logits -> tokens, with the log-prob and the entropy of the very distribution each was drawn from."""

from __future__ import annotations

import numpy as np
import torch

_STRIDE = 64
"""Tokens that are summed up before one of them is looked for; about the root of a vocabulary's size."""


def sample(
    logits: torch.Tensor, draws: np.ndarray, temperature: float, top_p: float
) -> tuple[list[int], list[float], list[float]]:
    """One token per row by inverse CDF, its log-prob, and the entropy in nats of the distribution it came from.

    Args:
        logits: `(rows, vocab)`.
        draws: uniform in [0, 1), one per row.
        temperature: 0 is greedy; log-prob and entropy are then those of temperature 1.
        top_p: mass of the nucleus that is sampled from; 1 is the whole vocabulary.
    """
    scores = logits.float()
    if temperature > 0:
        scores = scores / temperature
    scores = scores - scores.amax(-1, keepdim=True)
    if top_p < 1 and temperature > 0:
        scores.masked_fill_(_outside(scores, top_p), -torch.inf)
    scores.clamp_(min=-1e4)  # weighs 0 all the same, and 0 times it is 0
    weights = scores.exp()
    total = weights.sum(-1)
    entropies = total.log() - torch.linalg.vecdot(weights, scores) / total
    tokens = _draw(weights, torch.from_numpy(draws).to(logits.device)) if temperature > 0 else scores.argmax(-1)
    logprobs = scores.gather(-1, tokens[:, None])[:, 0] - total.log()
    # One transfer, because on a GPU each waits for all work before it.
    drawn, logprobs, entropies = torch.stack([tokens.double(), logprobs.double(), entropies.double()]).tolist()
    return list(map(int, drawn)), logprobs, entropies


def _outside(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """True for what is not in the smallest set of tokens with mass `top_p`."""
    ordered, order = scores.softmax(-1).sort(dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    return torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= top_p)


def _draw(weights: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """For each row the token in whose share of the mass the draw falls, found in two steps: a sum over the whole
    vocabulary is several times faster than a running sum."""
    rows, vocab = weights.shape
    weights = torch.nn.functional.pad(weights, (0, -vocab % _STRIDE)).view(rows, -1, _STRIDE)
    stride, rest = _find(weights.sum(-1), draws)
    within, _ = _find(weights[torch.arange(rows, device=weights.device), stride], rest)
    return stride * _STRIDE + within


def _find(weights: torch.Tensor, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The index in whose share of its row each draw falls, and where in this share, as a new draw in [0, 1)."""
    cumulative = weights.double().cumsum(-1)
    # Scaled by the total, so that rounding can never push a draw past the last weight that is not 0.
    points = draws[:, None] * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, points, right=True).clamp(max=weights.shape[-1] - 1)
    share = weights.gather(-1, found).double()
    before = cumulative.gather(-1, found) - share
    return found[:, 0], ((points - before) / share).clamp(0, 1 - 2**-53)[:, 0]
