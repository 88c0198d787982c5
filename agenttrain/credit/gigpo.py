"""Trajectories -> advantages: GiGPO (arXiv 2505.10978), episodes against their group, actions against their state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agenttrain.credit.anchors import against_anchors, by_state
from agenttrain.credit.groups import Norm, PerTurn, Statistics, added, discounted, relative, spread
from agenttrain.ranges import NonNegative, Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Gigpo:
    """A_t = A_E + omega A_S: A_E as GRPO; A_S compares what a task's attempts did in the same state.

    A_S = (G_t - mean G) / (std G + eps) over all turns of the group with equal `observation.state`, where
    G_t = r_t + gamma G_{t+1}. A state seen once, or without a key (""), gives 0. States of different tasks are never
    compared. The authors take `norm=std` for ALFWorld and search, `none` for WebShop and Sokoban; in both terms.

    Much of the gain at gamma < 1 is plain discounting, so compare with `credit=turn credit.gamma=0.95` as well. The
    authors subtract penalties for invalid actions after discounting: name such rewards in `undiscounted`.
    """

    gamma: Share = 0.95
    omega: NonNegative = 1.0
    norm: Norm = "std"
    eps: NonNegative = 1e-6
    similarity: Share = 1.0
    undiscounted: Sequence[str] = ()
    statistics: Statistics = "trajectory"

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        whole = spread(batch, relative(batch, self.norm, self.eps, self.statistics))
        futures = [self._future(trajectory) for trajectory in batch]
        return added(whole, against_anchors(by_state(batch, self.similarity), futures, self.norm, self.eps), self.omega)

    def _future(self, trajectory: Trajectory) -> list[float]:
        rewards = trajectory.turn_rewards
        apart = [name for name in self.undiscounted if name in trajectory.scores]
        if not apart:
            return discounted(rewards, self.gamma)
        own = [
            sum(trajectory.weights.get(name, 1.0) * trajectory.scores[name][turn] for name in apart)
            for turn in range(len(rewards))
        ]
        later = discounted([reward - now for reward, now in zip(rewards, own, strict=True)], self.gamma)
        return [future + now for future, now in zip(later, own, strict=True)]
