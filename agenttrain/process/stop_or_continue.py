"""A decision process: every turn pays 1, and every turn the policy may stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agenttrain.process.mdp import TURN, Mdp
from agenttrain.ranges import Count


@dataclass(frozen=True)
class StopOrContinue:
    """Going on is right at each turn. The length of an episode depends on the policy, and so does the number of
    attempts that a baseline by turn number is taken over.

    With the defaults the exact gradient is p (1 - p) (1 + 2 p + 3 p^2) = 0.767, p = sigmoid(0.3).
    """

    turns: Count = 4
    logit: float = 0.3
    shared: bool = True

    def mdp(self) -> Mdp:
        move = np.zeros((self.turns, 2, self.turns + 1))
        move[range(self.turns), 0, range(1, self.turns + 1)] = 1.0
        move[:, 1, self.turns] = 1.0
        rows = 1 if self.shared else self.turns
        return Mdp(
            start=np.eye(self.turns)[0],
            move=move,
            rewards={TURN: np.ones(move.shape)},
            row=np.minimum(range(self.turns), rows - 1),
            logits=np.full((rows, 1), self.logit),
            deadline=self.turns,
            keys=[f"turn {turn}" for turn in range(self.turns)],
        )
