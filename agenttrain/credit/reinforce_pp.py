"""Trajectories -> advantages: REINFORCE++ (arXiv 2501.03262), returns in units of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agenttrain.credit.groups import PerTurn, added, discounted, relative, spread, whitened
from agenttrain.ranges import Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class ReinforcePp:
    """A_t = (G_t - mean G) / std G over all turns of the batch, where G_t = r_t + gamma G_{t+1}.

    One baseline for all tasks: no group is needed, and a single attempt a task will do, but easy tasks are praised and
    hard ones blamed for what they are. With `baseline` the group's mean return is taken off first (the authors'
    REINFORCE++-baseline), gamma then counts within what is left.
    """

    gamma: Share = 1.0
    baseline: bool = False

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        returns = [discounted(trajectory.turn_rewards, self.gamma) for trajectory in batch]
        if self.baseline:
            totals = spread(batch, relative(batch, "none", 0.0))
            whole = [[sum(t.turn_rewards)] * len(t.turns) for t in batch]
            returns = added(returns, added(totals, whole, -1.0))
        return whitened(batch, returns)
