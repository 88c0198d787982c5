"""Trajectories -> advantages: each turn's discounted return against what the rest of the group still had to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agenttrain.credit.groups import PerTurn, Turns, against_others
from agenttrain.ranges import Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Turn:
    """A_t = G_t - b_t, where G_t = r_t + gamma G_{t+1} and b_t is the mean of the *other* attempts' G_t.

    An attempt that had stopped before turn t has G_t = 0 and stays in the mean. So the baseline has the same number of
    terms whatever the policy does, does not depend on the turn's own action, and the gradient is exact for gamma = 1
    (tests/credit/test_turn.py computes it). The usual form takes mean and deviation over the attempts that reached
    turn t (`credit=mt_grpo`): when to stop then changes the baseline, and in a stop-or-continue process that pays 1 a
    turn its gradient is zero.

    What RLOO (arXiv 2402.14740) does for whole answers, per turn. Meant for rewards that differ by turn.
    """

    gamma: Share = 1.0

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        turns = Turns(batch)
        return turns.shaped(against_others(turns, turns.discounted(turns.rewards, self.gamma)))
