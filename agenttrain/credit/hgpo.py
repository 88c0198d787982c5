"""Trajectories -> advantages: HGPO (arXiv 2602.22817), anchor groups of growing history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agenttrain.credit.anchors import by_history, by_state
from agenttrain.credit.groups import Norm, PerTurn, Turns, compared, relative
from agenttrain.ranges import NonNegative, Share, Whole
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Hgpo:
    """A_t = sum over k = 0..history of w_k A_S(k), w_k in proportion to (k + 2)^alpha.

    A_S(k) compares, as GiGPO's step term (here std has n), turns that share the state and the k states before it. Turns
    in one state can differ in what led there, and the longer the shared history the fairer the comparison, but the
    smaller the group: so all levels that tell something (A_S(k) is not 0) count, the longer ones more.

    A state that the group met once gives 0, like the authors'. `episode` adds A_E, as GRPO, as one more level of
    weight 1 (`base_group` in their code, which takes its mean and deviation over turns).
    """

    gamma: Share = 0.95
    history: Whole = 2
    alpha: NonNegative = 1.0
    norm: Norm = "std"
    eps: NonNegative = 1e-6
    episode: bool = False

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        turns = Turns(batch)
        returns = turns.discounted(turns.rewards, self.gamma)
        anchors = shared = by_state(turns)
        levels = [compared(returns, anchors, self.norm, self.eps, ddof=0)]
        for _ in range(self.history):
            shared = by_history(turns, shared, anchors)
            levels.append(compared(returns, shared, self.norm, self.eps, ddof=0))
        weights = [(level + 2) ** self.alpha for level in range(len(levels))]
        if self.episode:
            levels.append(relative(turns, turns.rewards, self.norm, self.eps, "turn"))
            weights.append(1.0)
        terms = np.array(levels)
        told = np.array(weights)[:, None] * (np.abs(terms) > 1e-12)
        return turns.shaped((told * terms).sum(axis=0) / np.maximum(told.sum(axis=0), 1.0))
