"""Trajectory -> one score per turn: what a reward model that was trained on preferences or outcomes thinks of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agenttrain.types import Trajectory


@dataclass
class Learned:
    """On the last turn the score of the whole episode; every other turn gets 0.

    `meta["scored_by"]` says which model it was.

    Raises:
        UserError: when it is prepared: there is no reward model at `path`.
        ValueError: when it scores: the episode is longer than the model's context.
    """

    path: str
    weight: float = 1.0
    probability: bool = True

    def prepare(self) -> None:
        """Read the model."""
        from agenttrain.model.scorer import read

        read(self.path)

    def __call__(self, trajectory: Trajectory) -> list[float]:
        from agenttrain.model.scorer import read

        scorer = read(self.path)
        trajectory.meta.setdefault("scored_by", {})["learned"] = scorer.name
        scores = [0.0] * len(trajectory.turns)
        if scores:
            logit = scorer.score([trajectory])[0][-1]
            scores[-1] = 0.5 * (1 + math.tanh(logit / 2)) if self.probability else logit
        return scores
