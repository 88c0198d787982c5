"""Trajectories -> advantages: HGPO (arXiv 2602.22817), anchor groups of growing history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agenttrain.credit.anchors import against_anchors, by_state
from agenttrain.credit.groups import Norm, PerTurn, added, discounted, relative, spread
from agenttrain.ranges import NonNegative, Share, Whole
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Hgpo:
    """A_t = A_E + sum over k = 0..history of w_k A_S(k), w_k in proportion to (k + 1)^alpha.

    A_S(k) compares, as GiGPO's step term, turns that share the state and the k states before it. Turns in one state can
    differ in what led there, and the longer the shared history the fairer the comparison, but the smaller the group: so
    all levels count, the longer ones more. `history=0` is `credit=gigpo` with omega 1.
    """

    gamma: Share = 0.95
    history: Whole = 2
    alpha: NonNegative = 1.0
    norm: Norm = "std"
    eps: NonNegative = 1e-6

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        advantages = spread(batch, relative(batch, self.norm, self.eps))
        returns = [discounted(trajectory.turn_rewards, self.gamma) for trajectory in batch]
        weights = [(level + 1) ** self.alpha for level in range(self.history + 1)]
        for level, weight in enumerate(weights):
            step = against_anchors(by_state(batch, history=level), returns, self.norm, self.eps)
            advantages = added(advantages, step, weight / sum(weights))
        return advantages
