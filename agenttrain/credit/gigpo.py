"""Trajectories -> advantages: GiGPO (arXiv 2505.10978), episodes against their group, actions against their state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agenttrain.credit.groups import Norm, Statistics, discounted, groups, relative
from agenttrain.types import Trajectory


class Gigpo:
    """A_t = A_E + omega A_S: A_E as GRPO; A_S compares what a task's attempts did in the same state.

    A_S = (G_t - mean G) / (std G + eps) over all turns of the group with equal `observation.state`, where
    G_t = r_t + gamma G_{t+1}. A state seen once, or without a key (""), gives 0. States of different tasks are never
    compared. The authors take `norm=std` for ALFWorld and search, `none` for WebShop and Sokoban; in both terms.

    Much of the gain at gamma < 1 is plain discounting, so compare with `credit=turn credit.gamma=0.95` as well. The
    authors subtract penalties for invalid actions after discounting; here a penalty is a reward like any other.
    """

    def __init__(
        self,
        gamma: float = 0.95,
        omega: float = 1.0,
        norm: Norm = "std",
        eps: float = 1e-6,
        statistics: Statistics = "trajectory",
    ) -> None:
        self.gamma, self.omega, self.norm, self.eps, self.statistics = gamma, omega, norm, eps, statistics

    def __call__(self, batch: Sequence[Trajectory]) -> list[list[float]]:
        episode = relative(batch, self.norm, self.eps, self.statistics)
        advantages = [[float(a)] * len(trajectory.turns) for trajectory, a in zip(batch, episode, strict=True)]
        turns, anchors, returns = self._anchored(batch)
        if len(returns):
            step = self.omega * _within(anchors, returns, self.norm, self.eps)
            for (place, turn), value in zip(turns, step.tolist(), strict=True):
                advantages[place][turn] += value
        return advantages

    def _anchored(self, batch: Sequence[Trajectory]) -> tuple[list[tuple[int, int]], np.ndarray, np.ndarray]:
        """All turns that have a state key: (place in batch, turn), the number of their anchor, their return."""
        numbers: dict[tuple[str, str], int] = {}
        turns, anchors, returns = [], [], []
        for place in (place for group in groups(batch) for place in group):
            trajectory = batch[place]
            future = discounted(trajectory.turn_rewards, self.gamma)
            for turn, value in enumerate(future):
                if state := trajectory.turns[turn].observation.state:
                    turns.append((place, turn))
                    anchors.append(numbers.setdefault((trajectory.task.id, state), len(numbers)))
                    returns.append(value)
        return turns, np.array(anchors, dtype=np.int64), np.array(returns)


def _within(group: np.ndarray, values: np.ndarray, norm: Norm, eps: float) -> np.ndarray:
    """(value - mean) / (std + eps) within equal numbers of `group`, std with n - 1; 0 for a number met once."""
    count = np.bincount(group)
    centred = values - (np.bincount(group, values) / count)[group]
    if norm == "std":
        variance = np.bincount(group, centred**2) / np.maximum(count - 1, 1)
        centred /= np.sqrt(variance)[group] + eps
    return centred
