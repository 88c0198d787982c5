"""Trajectories -> advantages: GAGPO (arXiv 2605.13217), anchor groups as the critic of a GAE over turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agenttrain.credit.anchors import by_state
from agenttrain.credit.groups import PerTurn, Turns, gae, whitened
from agenttrain.ranges import Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Gagpo:
    """V(s) is the mean return of all turns that a task's attempts took in s; A_t is the GAE of those values over turns.

    With `lam=0` the step alone is judged, r_t + gamma V(s') - V(s), by what all attempts found behind s'; with `lam=1`
    it is the return against its anchor group, GiGPO's step term without the deviation. A state seen once is its own
    critic, which says nothing about its action but passes on what comes later.
    """

    gamma: Share = 0.95
    lam: Share = 0.95
    whiten: bool = True

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        turns = Turns(batch)
        anchors, returns = by_state(turns), turns.discounted(turns.rewards, self.gamma)
        values = (np.bincount(anchors, returns) / np.maximum(np.bincount(anchors), 1))[anchors]
        advantages = gae(turns.rewards, values, turns.lengths, self.gamma, self.lam)
        return turns.shaped(whitened(advantages) if self.whiten else advantages)
