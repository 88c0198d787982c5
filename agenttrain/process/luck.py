"""A decision process: at each turn a reward for the right action, beside one that is luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agenttrain.process.mdp import TURN, Mdp
from agenttrain.ranges import Count, NonNegative

GOOD, BAD = 0, 1


@dataclass(frozen=True)
class Luck:
    """Each turn is a good or a bad one by the throw of a coin, which the policy sees and cannot change. The right of
    two actions earns 1; a good turn pays `size` besides, a bad one costs it. No state comes twice in an episode.
    """

    turns: Count = 3
    size: NonNegative = 1.0
    logit: float = 0.0

    def mdp(self) -> Mdp:
        states = 2 * self.turns  # turn 0 good, turn 0 bad, turn 1 good, ...
        move = np.zeros((states, 2, states + 1))
        for state in range(states - 2):
            following = 2 * (state // 2) + 2
            move[state, :, [following + GOOD, following + BAD]] = 0.5
        move[states - 2 :, :, states] = 1.0
        reward = np.zeros(move.shape)
        reward[:, 0] += 1.0
        reward[GOOD::2] += self.size
        reward[BAD::2] -= self.size
        start = np.zeros(states)
        start[[GOOD, BAD]] = 0.5
        return Mdp(
            start=start,
            move=move,
            rewards={TURN: reward},
            row=np.arange(states),
            logits=np.full((states, 1), self.logit),
            deadline=self.turns,
            keys=[f"turn {state // 2}, {'bad' if state % 2 else 'good'}" for state in range(states)],
        )
