"""Trajectories -> advantages: Dr. GRPO (arXiv 2503.20783), GRPO without the deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agenttrain.credit.groups import PerTurn, Statistics, Turns, relative
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class DrGrpo:
    """A = R - mean R over the attempts at a task, for every turn alike.

    Dividing by the deviation gives tasks that are almost always or almost never solved the same say as the others; this
    does not. The paper's other half, a loss without the 1 / length, is `algo.loss_type=dr_grpo`.
    """

    statistics: Statistics = "trajectory"

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        turns = Turns(batch)
        return turns.shaped(relative(turns, turns.rewards, "none", 0.0, self.statistics))
