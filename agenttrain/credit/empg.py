"""Trajectories -> advantages: EMPG (arXiv 2509.09265), any credit modulated by the uncertainty of each turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from agenttrain.credit.gae import PerToken
from agenttrain.credit.groups import Turns, compared
from agenttrain.errors import UserError
from agenttrain.ranges import NonNegative
from agenttrain.types import FAILED_BY_US, Advantage, Credit, CriticCredit, Trajectory


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

    def __call__(self, batch: Sequence[Trajectory]) -> Sequence[Sequence[Advantage]]:
        """
        Raises:
            UserError: there are no entropies.
        """
        turns = Turns(batch)
        given = [a for row, t in zip(self.base(batch), batch, strict=True) if t.stop not in FAILED_BY_US for a in row]
        entropy = self._scaled(_entropies(turns))
        gain = np.exp(-self.k * entropy)
        gain /= gain.mean() if len(gain) else 1.0
        bonus = self.zeta * self._bonus(turns, entropy)
        plain = all(isinstance(advantage, float | int) for advantage in given)
        means = np.array(given if plain else [np.mean(advantage) for advantage in given]) * gain + bonus
        center = means.mean() if self.center and given else 0.0
        if plain:
            return turns.shaped(means - center)
        rows = zip(given, gain, bonus - center, strict=True)
        return turns.rows([(np.atleast_1d(row) * scale + shift).tolist() for row, scale, shift in rows], 0.0)

    def targets(self, batch: Sequence[Trajectory]) -> PerToken:
        """Those of a base with a critic: what is modulated is the policy's credit, not the critic's lesson.

        Raises:
            UserError: the base has no critic.
        """
        if not isinstance(self.base, CriticCredit):
            raise UserError("credit.base has no critic to train, as credit.base=gae has.")
        return self.base.targets(batch)

    def _scaled(self, entropies: np.ndarray) -> np.ndarray:
        if self.scale == "minmax":
            low = entropies.min(initial=np.inf)
            return (entropies - low) / (entropies.max(initial=-np.inf) - low + 1e-8)
        _, level, count = np.unique(entropies, return_inverse=True, return_counts=True)
        below = np.cumsum(count) - count
        return ((below + (count - 1) / 2) / max(len(entropies) - 1, 1))[level]

    def _bonus(self, turns: Turns, entropy: np.ndarray) -> np.ndarray:
        """How sure the policy is at the next turn; 0 at an attempt's last, and where the gate is shut."""
        clarity = np.append(np.exp(-self.k_future * entropy), 0.0)[1:]
        clarity[turns.number == turns.lengths[turns.attempt] - 1] = 0.0
        if self.bonus_gate == "success":
            clarity *= np.array([trajectory.success for trajectory in turns.played], dtype=float)[turns.attempt]
        elif self.bonus_gate == "nonzero_variance":
            apart = np.abs(compared(turns.total(turns.rewards), turns.task, "none", 0.0)) > 1e-9
            clarity *= (np.bincount(turns.task, apart) > 0)[turns.task][turns.attempt]
        return clarity


def _entropies(turns: Turns) -> np.ndarray:
    """The mean entropy of each turn's sampled tokens."""
    actions = [turn.action for trajectory in turns.played for turn in trajectory.turns]
    lacking = [bool(action.sampled) and not action.entropies for action in actions]
    if any(lacking) or (actions and not any(action.entropies for action in actions)):
        raise UserError("credit=empg needs the entropies of sampled tokens, which policy=local keeps.")
    rows = [action.entropies or [0.0] for action in actions]  # where the context was full, nothing was sampled
    tokens = np.array([len(row) for row in rows], dtype=np.int64)
    sums = np.add.reduceat([*chain.from_iterable(rows), 0.0], np.cumsum(tokens) - tokens) if rows else np.zeros(0)
    entropies = sums / tokens
    if not np.isfinite(entropies).all():
        raise UserError("credit=empg: the entropy of a turn is not a finite number.")
    return entropies
