"""Trajectories -> advantages: GDPO (arXiv 2601.05242), each reward against its group alone, then summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agenttrain.credit.groups import PerTurn, Turns
from agenttrain.errors import UserError
from agenttrain.ranges import NonNegative
from agenttrain.types import FAILED_BY_US, Advantage, Credit, Trajectory


@dataclass(frozen=True)
class Gdpo:
    """A = sum over rewards k of w_k `base`(rewards of k alone), then (A - mean A) / (std A + eps) over the attempts.

    Where rewards are summed first, a term of large spread drowns the others, and different combinations of terms give
    one advantage; here each is first put in units of its own spread, by a `base` that divides by it (`grpo`, `gigpo`).
    Beside a veto, too: an episode with one counts as 0 for the terms it lost. The mean and the deviation over the batch
    (`batch_norm`) are each attempt's mean advantage per turn, once per attempt, n - 1. With `base` `grpo` this is TRL's
    `multi_objective_aggregation="normalize_then_sum"`.
    """

    base: Credit
    batch_norm: bool = True
    eps: NonNegative = 1e-4

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        """
        Raises:
            UserError: `base` gives advantages per token.
        """
        turns = Turns(batch)
        total = np.zeros(len(turns.attempt))
        for name in turns.names:
            weight = max((t.weights.get(name, 1.0) for t in turns.played), key=abs)
            if not weight:
                continue
            # What is left of the weight in one trajectory: 1, or 0 behind a gate or a veto.
            left = [{name: t.weights.get(name, 1.0) / weight} for t in batch]
            alone = [replace(t, weights=dict.fromkeys(t.scores, 0.0) | own) for t, own in zip(batch, left, strict=True)]
            rows = zip(self.base(alone), batch, strict=True)
            given = [[_number(a) for a in row] for row, t in rows if t.stop not in FAILED_BY_US]
            total += weight * turns.flat(given, f"credit.base for {name!r}")
        return turns.shaped(self._normed(turns, total) if self.batch_norm else total)

    def _normed(self, turns: Turns, total: np.ndarray) -> np.ndarray:
        attempts = turns.total(total)[turns.lengths > 0] / turns.lengths[turns.lengths > 0]
        if len(attempts) < 2:
            return np.zeros(len(total))
        return (total - attempts.mean()) / (attempts.std(ddof=1) + self.eps)


def _number(advantage: Advantage) -> float:
    if not isinstance(advantage, float | int):
        raise UserError("credit=gdpo takes a base with one advantage per turn, not per token.")
    return advantage
