"""Trajectory -> one score per turn: the soft overlong punishment of DAPO (arXiv 2503.14476, equation 13)."""

from __future__ import annotations

from dataclasses import dataclass

from agenttrain.ranges import Count, NonNegative
from agenttrain.types import Action, Trajectory


@dataclass
class Length:
    """On the last turn, of the tokens sampled in the whole episode: nothing up to `most - margin`, then linearly down
    to -penalty at `most`, and -penalty beyond.

    Tokens are counted by the policy; where it counts none (a script) nothing is taken.
    """

    weight: float = 1.0
    most: Count = 1024
    margin: Count = 256
    penalty: NonNegative = 1.0

    def __call__(self, trajectory: Trajectory) -> list[float]:
        scores = [0.0] * len(trajectory.turns)
        over = sum(_sampled(turn.action) for turn in trajectory.turns) - (self.most - self.margin)
        if scores and over > 0:
            scores[-1] = -self.penalty * min(over / self.margin, 1.0)
        return scores


def _sampled(action: Action) -> int:
    return action.sampled or action.usage.get("completion_tokens", 0)
