"""Trajectories -> advantages: GiGPO (arXiv 2505.10978), episodes against their group, actions against their state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agenttrain.credit.anchors import by_state
from agenttrain.credit.groups import Norm, PerTurn, Statistics, Turns, compared, relative
from agenttrain.ranges import NonNegative, Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Gigpo:
    """A_t = A_E + omega A_S: A_E as GRPO; A_S compares what a task's attempts did in the same state.

    A_S = (G_t - mean G) / (std G + eps) over all turns of the group with equal `observation.state`, where
    G_t = r_t + gamma G_{t+1}. A state seen once, or without a key (""), gives 0. States of different tasks are never
    compared. The authors take `norm=std` for ALFWorld and search, `none` for WebShop and Sokoban; in both terms.

    Much of the gain at gamma < 1 is plain discounting, so compare with `credit=turn credit.gamma=0.95` as well.

    The authors subtract penalties for invalid actions after discounting: name such rewards in `undiscounted`, and an
    earlier turn is not blamed for them. In their code (`statistics=turn`) the episode term, too, has of them only the
    turn's own.
    """

    gamma: Share = 0.95
    omega: NonNegative = 1.0
    norm: Norm = "std"
    eps: NonNegative = 1e-6
    similarity: Share = 1.0
    undiscounted: Sequence[str] = ()
    statistics: Statistics = "trajectory"

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        """
        Raises:
            UserError: `undiscounted` names a reward that there is not.
        """
        turns = Turns(batch)
        own = turns.scores(self.undiscounted)
        returns = own + turns.discounted(turns.rewards - own, self.gamma)
        step = compared(returns, by_state(turns, self.similarity), self.norm, self.eps)
        return turns.shaped(self._episode(turns, own) + self.omega * step)

    def _episode(self, turns: Turns, own: np.ndarray) -> np.ndarray:
        if self.statistics == "trajectory":
            return relative(turns, turns.rewards, self.norm, self.eps, "trajectory")
        totals = own + turns.total(turns.rewards - own)[turns.attempt]
        return compared(totals, turns.task[turns.attempt], self.norm, self.eps)
