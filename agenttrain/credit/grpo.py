"""Trajectories -> advantages: GRPO (arXiv 2402.03300), the whole trajectory against its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agenttrain.credit.groups import PerTurn, Statistics, Turns, relative
from agenttrain.ranges import NonNegative
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Grpo:
    """A = (R - mean R) / (std R + eps) over the attempts at a task, for every turn alike; std has n - 1.

    Every turn of an episode shares the praise or the blame: no critic, but little information per turn in a long one.
    The defaults equal TRL's own advantages to 1e-6; verl has eps 1e-6.
    """

    eps: NonNegative = 1e-4
    statistics: Statistics = "trajectory"

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        turns = Turns(batch)
        return turns.shaped(relative(turns, turns.rewards, "std", self.eps, self.statistics))
