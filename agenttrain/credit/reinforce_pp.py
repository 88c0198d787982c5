"""Trajectories -> advantages: REINFORCE++ (arXiv 2501.03262), returns in units of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agenttrain.credit.groups import PerTurn, Turns, relative, whitened
from agenttrain.errors import UserError
from agenttrain.ranges import Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class ReinforcePp:
    """A_t = (G_t - mean G) / std G over the whole batch, where G_t = r_t + gamma G_{t+1}.

    One baseline for all tasks: no group is needed, and a single attempt a task will do, but easy tasks are praised and
    hard ones blamed for what they are. With `baseline` G_t is the return of the whole attempt less its group's
    mean (the authors' REINFORCE++-baseline; gamma plays no part). Published code takes mean and deviation over tokens,
    where a long turn counts more: `statistics=token`.
    """

    gamma: Share = 1.0
    baseline: bool = False
    statistics: Literal["turn", "token"] = "turn"

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        """
        Raises:
            UserError: `statistics=token`, and a turn has no tokens.
        """
        turns = Turns(batch)
        if self.baseline:
            returns = relative(turns, turns.rewards, "none", 0.0, "trajectory")
        else:
            returns = turns.discounted(turns.rewards, self.gamma)
        return turns.shaped(whitened(returns, None if self.statistics == "turn" else _tokens(turns)))


def _tokens(turns: Turns) -> np.ndarray:
    """Sampled tokens of each turn."""
    sampled = np.array([turn.action.sampled for trajectory in turns.played for turn in trajectory.turns], dtype=float)
    if not sampled.all():
        raise UserError("credit.statistics=token needs the tokens of every turn, which policy=local keeps.")
    return sampled
