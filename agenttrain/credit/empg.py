"""Trajectories -> advantages: EMPG (arXiv 2509.09265), any credit modulated by the uncertainty of each turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agenttrain.credit.groups import PerTurn, groups
from agenttrain.errors import UserError
from agenttrain.ranges import NonNegative
from agenttrain.types import FAILED_BY_US, Advantage, Credit, Trajectory, Turn


@dataclass(frozen=True)
class Empg:
    """A'_t = A_t g(H_t) + zeta exp(-k_future H_{t+1}), then minus the mean over the batch's turns.

    A is what `base` gives, H a turn's mean entropy on a scale of 0 to 1 in the batch, and g = exp(-k H) divided by its
    mean: confident turns learn more, uncertain ones less, the batch as much as before. The second term is a bonus for a
    step that leads to where the policy is sure of itself; a last turn has none.

    The bonus does most of the work. It helps where confusing states can be avoided, harms where they must be crossed,
    and without `bonus_gate` does not ask how the episode ended, so it can pay for staying in a known loop: never a
    default. `success` gives it to successful attempts only, `nonzero_variance` to groups whose attempts differ in
    return. `scale=minmax` is the paper's; `quantile` (the turn's rank) does not hang on the batch's extremes. With
    `k=0 zeta=0 center=false` the result is that of `base`.
    """

    base: Credit
    k: NonNegative = 1.0
    k_future: NonNegative = 1.0
    zeta: NonNegative = 0.1
    bonus_gate: Literal["none", "success", "nonzero_variance"] = "none"
    scale: Literal["minmax", "quantile"] = "minmax"
    center: bool = True

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        """
        Raises:
            UserError: a turn has no entropies, or `base` gives advantages per token.
        """
        places = [place for place, t in enumerate(batch) if t.turns and t.stop not in FAILED_BY_US]
        advantages = [[_number(a) for a in row] for row in self.base(batch)]
        if not places:
            return advantages
        entropy = self._scaled(np.array([_entropy(turn) for place in places for turn in batch[place].turns]))
        gain = np.exp(-self.k * entropy)
        modulated = np.array([a for place in places for a in advantages[place]]) * gain / gain.mean()
        modulated += self.zeta * self._bonus(batch, places, entropy)
        if self.center:
            modulated -= modulated.mean()
        numbers = iter(modulated.tolist())
        for place in places:
            advantages[place] = [next(numbers) for _ in batch[place].turns]
        return advantages

    def _scaled(self, entropies: np.ndarray) -> np.ndarray:
        if self.scale == "minmax":
            return (entropies - entropies.min()) / (np.ptp(entropies) + 1e-8)
        _, level, count = np.unique(entropies, return_inverse=True, return_counts=True)
        below = np.cumsum(count) - count
        ranks = (below + (count - 1) / 2) / max(len(entropies) - 1, 1)
        return ranks[level]

    def _bonus(self, batch: Sequence[Trajectory], places: list[int], entropy: np.ndarray) -> np.ndarray:
        clarity = np.append(np.exp(-self.k_future * entropy)[1:], 0.0)
        gated = self._gated(batch)
        end = 0
        for place in places:
            start, end = end, end + len(batch[place].turns)
            clarity[end - 1] = 0.0
            if place not in gated:
                clarity[start:end] = 0.0
        return clarity

    def _gated(self, batch: Sequence[Trajectory]) -> set[int]:
        if self.bonus_gate == "success":
            return {place for place, trajectory in enumerate(batch) if trajectory.success}
        if self.bonus_gate == "nonzero_variance":
            returns = [sum(trajectory.turn_rewards) for trajectory in batch]
            apart = [g for g in groups(batch) if np.ptp([returns[place] for place in g]) > 1e-9]
            return {place for group in apart for place in group}
        return set(range(len(batch)))


def _entropy(turn: Turn) -> float:
    entropies = turn.action.entropies
    if not entropies:
        raise UserError("credit=empg needs the entropies of sampled tokens, which policy=local keeps.")
    return sum(entropies) / len(entropies)


def _number(advantage: Advantage) -> float:
    if not isinstance(advantage, float | int):
        raise UserError("credit=empg takes a base with one advantage per turn, as credit.base=gae has with level=turn.")
    return float(advantage)
