"""Trajectory -> one score per turn: what a reward model that was trained on preferences or outcomes thinks of it."""

from __future__ import annotations

from dataclasses import dataclass

from agenttrain.reward.logits import logits, probability
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
        scores = [0.0] * len(trajectory.turns)
        if scores:
            logit = logits(self.path, trajectory, "learned")[-1]
            scores[-1] = probability(logit) if self.probability else logit
        return scores
