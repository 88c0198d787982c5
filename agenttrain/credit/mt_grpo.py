"""Trajectories -> advantages: MT-GRPO (arXiv 2505.11821), turn rewards and outcome, each normalised in the group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agenttrain.credit.groups import PerTurn, groups
from agenttrain.ranges import NonNegative
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class MtGrpo:
    """A_t = A_O + alpha A_T(t) before the last turn, A_O at the last; as published, and biased.

    A_O normalises the last turn's reward (the outcome) over the group, A_T(t) the reward of turn t over the attempts
    that had a turn after it: (r - mean) / (std + eps), std with n - 1. An attempt of one turn, which saw no result of a
    tool, has its own reward normalised over the returns of the group instead.

    The published code knows two turns; this is its rule for any number. Since which attempts reach turn t depends on
    the policy, so does the baseline, and the expected gradient is another one than that of the return
    (`agenttrain credit-check credit=[mt_grpo,turn]` shows it). `credit=turn` is the unbiased form.
    """

    alpha: NonNegative = 1.0
    eps: NonNegative = 1e-4

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        advantages = [[0.0] * len(trajectory.turns) for trajectory in batch]
        for group in groups(batch):
            rewards = {place: batch[place].turn_rewards for place in group if batch[place].turns}
            outcome = self._normalised({place: row[-1] for place, row in rewards.items()})
            combined = self._normalised({place: sum(row) for place, row in rewards.items()})
            at_turn: dict[int, dict[int, float]] = defaultdict(dict)
            for place, row in rewards.items():
                for turn, reward in enumerate(row[:-1]):
                    at_turn[turn][place] = reward
            relative = {turn: self._normalised(found) for turn, found in at_turn.items()}
            for place, row in rewards.items():
                if len(row) == 1:
                    advantages[place] = [combined[place]]
                    continue
                before = [outcome[place] + self.alpha * relative[turn][place] for turn in range(len(row) - 1)]
                advantages[place] = [*before, outcome[place]]
        return advantages

    def _normalised(self, values: dict[int, float]) -> dict[int, float]:
        if len(values) < 2:
            return dict.fromkeys(values, 0.0)
        array = np.array(list(values.values()))
        return dict(zip(values, ((array - array.mean()) / (array.std(ddof=1) + self.eps)).tolist(), strict=True))
