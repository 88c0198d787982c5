"""Trajectories -> advantages: RLOO (arXiv 2402.14740), the whole trajectory against the other attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agenttrain.credit.groups import PerTurn, Statistics, Turns, relative
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Rloo:
    """A = R - mean of the other attempts' R = n / (n - 1) (R - mean R), for every turn alike.

    A baseline that knows nothing of the attempt itself leaves the gradient exact, in its scale too. Next to Dr. GRPO it
    differs by that factor alone.
    """

    statistics: Statistics = "trajectory"

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        turns = Turns(batch)
        return turns.shaped(relative(turns, turns.rewards, "loo", 0.0, self.statistics))
