"""Trajectory -> one logit per turn: what the rewards that ask a reward model share."""

from __future__ import annotations

import math

from agenttrain.types import Trajectory


def logits(path: str, trajectory: Trajectory, reward: str) -> list[float]:
    """What the model at `path` says after each turn; `meta["scored_by"]` notes which model it was, for `reward`.

    Raises:
        ValueError: the episode is longer than the model's context.
    """
    from agenttrain.model.scorer import read

    scorer = read(path)
    trajectory.meta.setdefault("scored_by", {})[reward] = scorer.name
    return scorer.score([trajectory])[0] if trajectory.turns else []


def probability(logit: float) -> float:
    """The logistic function, 0 to 1, of whatever size the logit is."""
    return 0.5 * (1 + math.tanh(logit / 2))
