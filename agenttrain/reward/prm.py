"""Trajectory -> one score per turn: how probably it succeeds from there on, as a process reward model has it.

Math-Shepherd (arXiv 2312.08935) for the labels that it learns from, which `agenttrain turn-values` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from agenttrain.reward.logits import logits, probability
from agenttrain.types import Trajectory


@dataclass
class Prm:
    """After each turn and what the environment answered to it, the model's probability p_t of success; of the last turn
    before it is answered, since the answer often tells the outcome.

    `form=absolute` gives p_t. `progress` gives p_t - p_{t-1}, and to the first turn p_0, compared with nothing at all:
    the scores of an episode sum to the last turn's probability, so that a detour or a loop earns nothing. `shaping` is
    that with 0 in place of the last turn's probability: the scores sum to 0, and what an episode earns is left to the
    verified outcome beside it (shaping by a potential that ends at 0, Ng, Harada and Russell 1999).

    Raises:
        UserError: when it is prepared: there is no reward model at `path`.
        ValueError: when it scores: the episode is longer than the model's context.
    """

    path: str
    weight: float = 1.0
    form: Literal["absolute", "progress", "shaping"] = "progress"

    def prepare(self) -> None:
        """Read the model."""
        from agenttrain.model.scorer import read

        read(self.path)

    def __call__(self, trajectory: Trajectory) -> list[float]:
        probabilities = [probability(logit) for logit in logits(self.path, trajectory, "prm")]
        if self.form == "absolute" or not probabilities:
            return probabilities
        if self.form == "shaping":
            probabilities[-1] = 0.0
        return [now - before for before, now in pairwise([0.0, *probabilities])]
