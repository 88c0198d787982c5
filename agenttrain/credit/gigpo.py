"""Trajectories -> advantages: GiGPO (arXiv 2505.10978), episodes against their group, actions against their state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agenttrain.credit.groups import Norm, discounted, groups, relative, spread
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Gigpo:
    """A_t = A_E + omega A_S: A_E as GRPO; A_S compares what a task's attempts did in the same state.

    A_S = (G_t - mean G) / (std G + eps) over all turns of the group with equal `observation.state`, where
    G_t = r_t + gamma G_{t+1}. A state seen once, or without a key (""), gives 0. States of different tasks are never
    compared. The authors take `norm=std` for ALFWorld and search, `none` for WebShop and Sokoban; in both terms.

    Much of the gain at gamma < 1 is plain discounting, so compare with `credit=turn credit.gamma=0.95` as well. The
    authors subtract penalties for invalid actions after discounting; here a penalty is a reward like any other.
    """

    gamma: float = 0.95
    omega: float = 1.0
    norm: Literal["std", "none"] = "std"
    eps: float = 1e-6
    statistics: Literal["trajectory", "turn"] = "trajectory"

    def __call__(self, batch: Sequence[Trajectory]) -> list[list[float]]:
        advantages = spread(batch, relative(batch, self.norm, self.eps, self.statistics))
        grouped = groups(batch)
        order = [place for group in grouped for place in group]
        futures = [discounted(batch[place].turn_rewards, self.gamma) for place in order]
        values = np.array([value for future in futures for value in future])
        step = self.omega * _within(_anchors(batch, grouped), values, self.norm, self.eps)
        end = 0
        for place in order:
            start, end = end, end + len(batch[place].turns)
            advantages[place] = (np.array(advantages[place]) + step[start:end]).tolist()
        return advantages


def _anchors(batch: Sequence[Trajectory], grouped: list[list[int]]) -> np.ndarray:
    """A number for every turn of the groups, in order: equal for equal states of one group, its own without a key."""
    anchors: list[int] = []
    for group in grouped:
        numbers: dict[str | int, int] = {}
        first = len(anchors)
        for place in group:
            for turn in batch[place].turns:
                anchors.append(numbers.setdefault(turn.observation.state or len(anchors), first + len(numbers)))
    return np.array(anchors, dtype=np.int64)


def _within(group: np.ndarray, values: np.ndarray, norm: Norm, eps: float) -> np.ndarray:
    """(value - mean) / (std + eps) within equal numbers of `group`, std with n - 1; 0 for a number met once."""
    count = np.maximum(np.bincount(group), 1)  # a number in between may be nobody's
    centred = values - (np.bincount(group, values) / count)[group]
    if norm == "std":
        variance = np.bincount(group, centred**2) / np.maximum(count - 1, 1)
        centred /= np.sqrt(variance)[group] + eps
    return centred
